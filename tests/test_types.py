"""Tasks keep the types of their functions, as type checkers see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_what_mypy_says_of_tasks() -> None:
    typed = Path(__file__).with_name("typed.py")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(typed)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=typed.parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_task_with_parameters_at_run_time() -> None:
    import offload

    assert str(offload.Task[[int], str]) == "offload.api.task.Task[[<class 'int'>], str]"
    assert [base.__name__ for base in offload.Task.__mro__][1:3] == ["IdentifiedTask", "Begun"]
