"""What is not here as it was where a command was planned."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from offload.commands.planning.check import differences
from offload.commands.planning.plan import Plan
from offload.commands.planning.planner import Planner
from offload.commands.planning.stdin import Stdin
from offload.commands.recall import planner_for
from offload.commands.request import Request
from offload.registry.session import current

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with a program of the user's, first on PATH."""
    path = tmp_path / "environment" / "bin"
    path.mkdir(parents=True)
    (path / "mine").write_text("#!/bin/sh\necho one\n")
    (path / "mine").chmod(0o755)
    (tmp_path / "environment" / "lib" / "python3.11" / "site-packages" / "thing-1.0.dist-info").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    return path


def planned(*argv: str) -> Plan:
    return planner_for(current()).plan([Request(argv)], Stdin())[0]


def found(plan: Plan, path: str | None = None) -> list[str]:
    planner: Planner = planner_for(current())
    return [str(difference) for difference in differences(plan, planner, path or os.environ["PATH"])]


def test_nothing_differs_where_nothing_has_changed(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for plan in (planned("mine"), planned("sh", "-c", "mine | sort"), planned("ls", str(tmp_path / "data"))):
        assert found(plan) == []


def test_programs_are_named_with_what_they_were_and_are(tools: Path) -> None:
    called, within = planned("mine"), planned("sh", "-c", "mine | sort")
    (tools / "mine").write_text("#!/bin/sh\necho two\n")
    now = planned("mine").executable_checksum
    for plan, before in ((called, called.executable_checksum), (within, within.program_checksums["mine"])):
        assert found(plan) == [f"{tools}/mine: {now[:12]} here, {before[:12]} where the command was given"]
    (tools / "mine").unlink()
    assert found(called) == [
        f"{tools}/mine: nothing here, {called.executable_checksum[:12]} where the command was given"
    ]


def test_another_program_of_the_same_name_is_named(tools: Path, tmp_path: Path) -> None:
    plan = planned("sh", "-c", "mine | sort")
    (tmp_path / "sort").write_text("#!/bin/sh\n")
    (tmp_path / "sort").chmod(0o755)
    said = found(plan, f"{tmp_path}:{os.environ['PATH']}")
    assert said == [f"the program sort: {tmp_path}/sort here, the system's where the command was given"]


def test_packages_beside_a_program_count(tools: Path) -> None:
    plan = planned("mine")
    packages = tools.parent / "lib" / "python3.11" / "site-packages"
    (packages / "thing-1.0.dist-info").rename(packages / "thing-2.0.dist-info")
    (said,) = found(plan)
    assert said.startswith(f"the packages in {tools.parent}: ")


def test_inputs_that_are_read_in_place_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("one")
    plan = planned("cat", str(tmp_path / "data"))
    (tmp_path / "data").write_text("two")
    assert found(plan)[0].startswith(f"{tmp_path}/data: other content here, ")
    (tmp_path / "data").unlink()
    assert found(plan)[0].startswith(f"{tmp_path}/data: nothing here, ")


def test_relative_inputs_and_programs_are_left_to_those_who_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("script").write_text("#!/bin/sh\n")
    Path("script").chmod(0o755)
    plan = planned("./script", "script")
    monkeypatch.chdir("/")
    assert found(plan) == []
