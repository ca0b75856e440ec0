"""Programs of environments, and the user's own programs within a program text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from offload.commands.planning.program_software import installed
from tests.conftest import Offload


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A directory that looks like a virtual environment, with one program and one package."""
    prefix = tmp_path / "venv"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "report").write_text("#!/bin/sh\necho report\n")
    (prefix / "bin" / "report").chmod(0o755)
    (prefix / "lib" / "python3.12" / "site-packages" / "numbers-1.0.dist-info").mkdir(parents=True)
    return prefix


def recalled(offload: Offload, environment: Path, *argv: str) -> bool:
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = offload("run", "--", *argv, env={"PATH": path})
    assert done.returncode == 0, done.stderr
    return b"recalled" in done.stderr


@pytest.mark.parametrize("argv", [("report",), ("sh", "-c", "report; echo again")])
def test_an_upgraded_package_is_noticed(offload: Offload, environment: Path, argv: tuple[str, ...]) -> None:
    packages = environment / "lib" / "python3.12" / "site-packages"
    assert not recalled(offload, environment, *argv)
    assert recalled(offload, environment, *argv)
    (packages / "numbers-1.0.dist-info").rename(packages / "numbers-1.1.dist-info")
    assert not recalled(offload, environment, *argv)
    assert recalled(offload, environment, *argv)


def test_a_program_named_in_a_program_text_counts_by_content(offload: Offload, environment: Path) -> None:
    argv = ("sh", "-c", "report | cat")
    assert not recalled(offload, environment, *argv)
    assert recalled(offload, environment, *argv)
    (environment / "bin" / "report").write_text("#!/bin/sh\necho another\n")
    assert not recalled(offload, environment, *argv)


def test_the_same_environment_elsewhere_is_the_same(offload: Offload, environment: Path, tmp_path: Path) -> None:
    assert not recalled(offload, environment, "report")
    environment.rename(tmp_path / "moved")
    assert recalled(offload, tmp_path / "moved", "report")


def test_why_says_that_packages_have_changed(offload: Offload, environment: Path) -> None:
    path = {"PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    assert offload("run", "--", "report", env=path).returncode == 0
    (environment / "lib" / "python3.12" / "site-packages" / "more-2.dist-info").mkdir()
    why = offload("why", "--", "report", env=path)
    assert b"other packages are installed beside the program" in why.stdout


def test_what_is_no_environment_brings_nothing(tmp_path: Path) -> None:
    assert installed("/bin/sh") == []
    assert installed(str(tmp_path / "bin" / "tool")) == []


def test_a_conda_environment(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "samtools-1.2-0.json").touch()
    (tmp_path / "conda-meta" / "history").touch()
    assert installed(str(tmp_path / "bin" / "samtools")) == ["samtools-1.2-0.json"]
