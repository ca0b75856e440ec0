"""Modules are found by the names that they had in earlier versions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from offload import moved

EVERY = """
import importlib, sys
from offload import moved
for old, new in moved.names().items():
    assert importlib.import_module("offload." + old) is sys.modules["offload." + new], old
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=100, check=False)


def test_every_old_name_is_the_module_of_today() -> None:
    done = run("-W", "ignore", "-c", EVERY)
    assert done.returncode == 0, done.stderr


def test_what_never_was_is_not_found() -> None:
    assert moved.find("offload.nothing") is None
    with pytest.raises(ModuleNotFoundError, match=r"offload\.nothing"):
        __import__("offload.nothing.more")


def test_a_program_runs_by_its_old_name() -> None:
    now = run("-m", "offload.deploy.remote.agent", "nothing")
    then = run("-m", "offload.deploy.remote.there", "nothing")
    assert (then.returncode, then.stdout) == (now.returncode, now.stdout)
    assert "ModuleNotFoundError" not in then.stderr
