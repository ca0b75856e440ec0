"""Named environments, scripts, lineage and verification, where a deployment runs the commands."""

from __future__ import annotations

import json
import venv
from pathlib import Path

import pytest

from tests.cli.deployed import Deployed

pytestmark = pytest.mark.real


def test_a_named_environment_and_a_script_on_a_worker(demo: Deployed) -> None:
    venv.create("env", symlinks=True)
    Path("job").write_text("#!/usr/bin/env python\nimport sys\nprint(sys.prefix)\n")
    Path("job").chmod(0o755)
    Path("words").write_text("b\na\n")
    done = demo("run", "--env", "env", "--", "./job")
    assert (done.returncode, done.stdout.decode()) == (0, f"{Path('env').absolute()}\n"), done.stderr
    assert b" on worker-" in done.stderr
    for words in (["./job"], ["sh", "-c", "python -c 'print(1)'"], ["sh", "-c", "./job; python3 -V"]):
        done = demo("run", "--env", "env", "--", *words)
        assert done.returncode == 0, done.stderr
        done = demo("run", "--env", "env", "--on", "none", "--", *words)
        assert b"recalled" in done.stderr


def test_what_ran_there_is_followed_and_run_again_here(demo: Deployed) -> None:
    Path("words").write_text("d\nc\n")
    done = demo("run", "-o", "made/", "--", "sh", "-c", "sort words > made/sorted")
    assert b" on worker-" in done.stderr, done.stderr
    found = json.loads(demo("lineage", "--json", "made/sorted").stdout)
    assert [step["label"] for step in found["steps"]] == ["sh -c 'sort words > made/sorted'"]
    told = json.loads(demo("verify", "--json", "--command", "*made/sorted*").stdout)
    assert (told["same"], told["different"], told["not_run"]) == (1, [], [])
