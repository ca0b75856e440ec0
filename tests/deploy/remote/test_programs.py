"""Programs that another machine has, over SSH: where they are replaced there, nothing stale is recalled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deploy.remote.conftest import PYTHON
from tests.lab.lab import Lab

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SCRIPT = """
import json, sys, offload
done = offload.run(["ours", "5"])
print(json.dumps([done.text, done.recalled]))
"""


def test_a_program_that_is_replaced_there(lab: Lab, tmp_path: Path) -> None:
    assert lab.offload_venv
    host, here = lab.host("h1"), tmp_path / "both"
    host.exec(f"mkdir -p {tmp_path} && chmod 755 {tmp_path.parent} {tmp_path}")
    done = lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1")
    assert done.returncode == 0, done.stderr
    python = lab.laptop_venv / "bin" / "python"

    def place(name: str, word: str) -> None:
        host.write(name, f"#!/bin/sh\necho {word} $1\n", mode=0o755)

    def run(*words: str) -> tuple[str, bool]:
        done = lab.offload("run", "--on", "h1", *words, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout, "recalled" in done.stderr

    def from_python() -> list[object]:
        done = lab.run([python, "-c", SCRIPT], env={"OFFLOAD_DEPLOYMENT": "h1"}, timeout=120)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    here.write_text("#!/bin/sh\necho here $1\n")
    here.chmod(0o755)
    for word in ("one", "two"):
        place("/usr/local/bin/ours", word)
        place(str(here), word)
        assert run("ours", "5") == (f"{word} 5\n", False)
        assert run("ours", "5") == (f"{word} 5\n", True)
        assert from_python() == [f"{word} 5\n", True]
        # A program at the same place here, of which that there is meant.
        assert run("--there", str(here), "6") == (f"{word} 6\n", False)
        here.write_text(f"#!/bin/sh\necho {word} here $1\n")
        assert run("--there", str(here), "6") == (f"{word} 6\n", True)
    place("/usr/local/bin/ours", "one")
    assert run("ours", "5") == ("one 5\n", True)  # as it was
    why = lab.offload("run", "--on", "h1", "--why", "--dry-run", "ours", "7", timeout=120)
    assert why.returncode == 0, why.stderr
    assert lab.offload("down", "h1", timeout=120).returncode == 0
