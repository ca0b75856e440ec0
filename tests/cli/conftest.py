"""The command line without the cost of a process each time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from offload.cli.main import main
from offload.deploy.lifecycle import local as launch
from tests.cli.deployed import NAME, Deployed, eventually


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


@pytest.fixture(scope="module")
def up(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A deployment with two workers, for the tests of a module."""
    deployed = Deployed(command, tmp_path_factory.mktemp("deployed") / "home")
    brought = deployed("up", "--name", NAME, "--workers", "2")
    assert brought.returncode == 0, brought.stderr
    eventually(lambda: sum(one["state"] == "connected" for one in launch.status(deployed.place)["workers"]) == 2)
    yield deployed
    assert deployed("down", NAME).returncode == 0


@pytest.fixture
def demo(up: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """The deployment of the module, and an empty current directory; jobs that the test leaves are cancelled."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield up
    up.tidy()
