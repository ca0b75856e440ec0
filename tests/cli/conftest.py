"""The command line without the cost of a process each time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

from offload.cli.main import main


class Inside(Protocol):
    """The type of the fixture `inside`."""

    def __call__(
        self, *arguments: str | os.PathLike[str], cwd: str | os.PathLike[str] | None = None
    ) -> subprocess.CompletedProcess[bytes]: ...


@pytest.fixture
def inside(home: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Run a command line as the fixture `offload` does, but in this process."""

    def run(
        *arguments: str | os.PathLike[str], cwd: str | os.PathLike[str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        words = [os.fspath(argument) for argument in arguments]
        capfdbinary.readouterr()
        with monkeypatch.context() as patch:
            if cwd is not None:
                patch.chdir(cwd)
            code = main(words)
        return subprocess.CompletedProcess(words, code, *capfdbinary.readouterr())

    return run
