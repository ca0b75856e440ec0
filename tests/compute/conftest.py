"""Fixtures of the tests of Python calls."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


class Log:
    """A file in which a function leaves a mark each time it really runs; given to it as an argument."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    @property
    def runs(self) -> int:
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0


class Script:
    """A directory of Python files, to be run as programs with the same home."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.write_text(text)
        return path

    def start(self, text: str, *arguments: str, name: str = "script.py") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, self.write(name, text), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.path,
        )

    def run(
        self, text: str, *arguments: str, name: str = "script.py", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        with self.start(text, *arguments, name=name) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
            return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def output(self, text: str, *arguments: str, name: str = "script.py") -> str:
        """What the script prints; it must succeed and have nothing to complain about."""
        done = self.run(text, *arguments, name=name)
        # On a busy machine start and end may take long enough to be announced.
        told = "offload: waiting for", "offload: starting"
        complaints = [line for line in done.stderr.splitlines() if not line.startswith(told)]
        assert (done.returncode, complaints) == (0, [])
        return done.stdout


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


@pytest.fixture
def script(home: Path, tmp_path: Path) -> Script:
    path = tmp_path / "scripts"
    path.mkdir()
    return Script(path)


@pytest.fixture
def no_cluster() -> Iterator[None]:
    """Whatever cluster the test starts ends with it."""
    from offload.api import submit

    submit.shutdown()
    yield
    submit.shutdown()
