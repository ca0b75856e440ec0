"""``offload completion``, and what it makes a shell complete."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Offload


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_valid(offload: Offload, shell: str) -> None:
    done = offload("completion", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"_OFFLOAD_COMPLETE={shell}_complete".encode() in done.stdout
    if shutil.which(shell):
        check = subprocess.run([shell, "-n"], input=done.stdout, capture_output=True, check=False, timeout=60)
        assert (check.returncode, check.stderr) == (0, b"")


def test_the_help_says_how_to_install_it(offload: Offload) -> None:
    text = offload("completion", "--help").stdout.decode()
    assert "offload completion bash > ~/.local/share/bash-completion/completions/offload" in text


def test_an_unknown_shell(offload: Offload) -> None:
    done = offload("completion", "tcsh")
    assert (done.returncode, b"'tcsh' is not one of" in done.stderr) == (2, True)


def completed(offload: Offload, line: str) -> list[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_OFFLOAD_COMPLETE": "bash_complete"}
    done = offload(env=words)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("offload hi", ["plain,history"]),
        ("offload history --ki", ["plain,--kind"]),
        ("offload history --kind c", ["plain,command"]),
        ("offload run --in", ["plain,--input"]),
        ("offload why --va", ["plain,--var"]),
        ("offload completion z", ["plain,zsh"]),
        ("offload put wor", ["file,wor"]),
        ("offload run -- cat wor", ["file,wor"]),
    ],
)
def test_completion_answers(offload: Offload, line: str, expected: list[str]) -> None:
    assert completed(offload, line) == expected


def test_checksums_are_completed(offload: Offload, home: Path) -> None:
    assert completed(offload, "offload history ") == []
    assert not home.exists(), "completing makes nothing"
    offload("run", "--", "echo", "x")
    offload("run", "--", "echo", "y")
    checksums = [run["transformation"][:12] for run in json.loads(offload("history", "--json").stdout)]
    assert completed(offload, "offload history ") == [f"plain,{checksum}" for checksum in checksums]
    assert completed(offload, f"offload forget {checksums[1][:4]}") == [f"plain,{checksums[1]}"]
    (home / "database.sqlite").write_bytes(b"damaged " * 1000)
    assert completed(offload, "offload forget ") == []


def test_bash_itself(offload: Offload, command: Path, tmp_path: Path) -> None:
    script = f"""
        PATH={command.parent}:$PATH
        eval "$(offload completion bash)"
        COMP_WORDS=(offload sta) COMP_CWORD=1
        _offload_completion offload sta offload
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == (b"status\n", b"")
