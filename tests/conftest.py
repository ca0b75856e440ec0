"""Fixtures that every test may use: a home of its own, and the installed command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest


class Offload(Protocol):
    """The type of the fixture `offload`."""

    def __call__(
        self,
        *arguments: str | os.PathLike[str],
        input: bytes | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[bytes]: ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that no other test sees: ``OFFLOAD_HOME``, not created yet."""
    path = tmp_path / "home"
    monkeypatch.setenv("OFFLOAD_HOME", str(path))
    yield path
    session = sys.modules.get("offload.registry.session")
    if session is not None:
        session.close_sessions()


@pytest.fixture(scope="session")
def command() -> Path:
    """The installed ``offload`` command of the Python that runs the tests."""
    path = Path(sys.executable).parent / "offload"
    assert path.exists(), f"{path} is missing: run `make setup`, or pip install -e '.[dev]'"
    return path


@pytest.fixture
def offload(home: Path, command: Path) -> Offload:
    """Run the installed command with a home of its own; stdout and stderr come back as bytes.

    ``env`` adds to the environment; without ``input``, stdin is empty.
    """

    def run(
        *arguments: str | os.PathLike[str],
        input: bytes | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [command, *arguments],
            stdin=subprocess.DEVNULL if input is None else None,
            input=input,
            capture_output=True,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            timeout=timeout,
            check=False,
        )

    return run
