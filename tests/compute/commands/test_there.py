"""Programs that are not here: which are looked for where a deployment's workers are, and what counts of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offload.api import command
from offload.commands.planning.plan import Planner
from offload.commands.planning.programs import CommandNotFoundError
from offload.commands.planning.remote_programs import around, described, look_there
from offload.commands.planning.stdin import Stdin
from offload.commands.request import Request
from offload.commands.why import compare
from offload.errors import EffectWarning
from offload.registry.deployments import Place, Registry
from offload.storage.file_checksums import FileChecksums

LINK = {"site": "ssh://me@login", "environment": "sync", "choices": {"prologue": ["module load tool/1.2"]}}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(str(tmp_path))


def place(registry: Registry, name: str = "hpc", **spec: Any) -> Place:
    return registry.create(name, json.dumps({"name": name, "link": None, "job": {}, "groups": {}, **spec}))


def looked(where: Place, *argv: str, everything: bool = False) -> tuple[Request, list[str]]:
    request, said = Request(list(argv)), list[str]()
    look_there([request], where, everything, said.append)
    return request, said


def test_what_is_looked_for_there(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.sh").write_text("#!/bin/sh\n")
    hpc = place(registry, link=LINK)
    there, said = looked(hpc, "mytool", "3")
    assert there.argv == ["env", "mytool", "3"]
    assert there.there == {
        "machine": "ssh://me@login", "environment": "sync", "prologue": ["module load tool/1.2"],
    }  # fmt: skip
    (line,) = said
    assert line.startswith("mytool is looked for on the workers of hpc, and counts by its name, with that machine and")
    assert looked(hpc, "/opt/no/such/tool")[0].argv == ["env", "/opt/no/such/tool"]
    for argv in (["sh", "-c", "mytool"], ["./mytool"], ["cd"], ["a | b"], ["here.sh"], ["bin/tool"]):
        unchanged, said = looked(hpc, *argv)
        assert (unchanged.argv, unchanged.there, said) == (argv, None, [])
    every, _ = looked(hpc, "sh", "-c", "mytool", everything=True)
    assert every.argv == ["env", "sh", "-c", "mytool"] and every.there == there.there


def test_a_deployment_of_this_machine(registry: Registry) -> None:
    plain = place(registry, "plain")
    assert described(plain) is None
    assert looked(plain, "mytool")[0].there is None
    with pytest.raises(CommandNotFoundError, match="programs of this machine"):
        looked(plain, "mytool", everything=True)
    module = place(registry, "module", groups={"big": {"job": {"prologue": ["module load x"]}}})
    assert described(module) == {"machine": "", "environment": "", "prologue": ["module load x"]}


def test_what_counts(registry: Registry, tmp_path: Path) -> None:
    files = FileChecksums(str(tmp_path / "files.sqlite"))
    older = place(registry, "older", link=LINK)
    newer = place(registry, "newer", link={**LINK, "choices": {"prologue": ["module load tool/1.3"]}})
    found = [
        Planner(files).plan([looked(where, "mytool", "3")[0]], Stdin())[0]
        for where in (older, place(registry, "same", link=LINK), newer)
    ]
    assert found[0].transformation == found[1].transformation != found[2].transformation
    (difference,) = compare(found[0].record, found[2].record)
    assert difference["what"] == "machine of its programs" and "tool/1.3" in str(difference["now"])
    plain = Planner(files).plan([Request(["sh", "-c", "true"])], Stdin())[0]
    assert "there" not in plain.record
    files.close()


def test_a_program_that_runs_one_is_warned(registry: Registry) -> None:
    with pytest.warns(EffectWarning, match="mytool is looked for on the workers of hpc"):
        look_there([Request(["mytool", "3"])], place(registry, link=LINK), False, command._warn)


def test_what_it_finds_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOL_HOME", "/opt/tool")
    monkeypatch.setenv("OFFLOAD_BUFFERS", "offload://x")
    found = around()
    assert found["TOOL_HOME"] == "/opt/tool"
    assert not {"OFFLOAD_BUFFERS", "PATH", "HOME", "TMPDIR", "LC_ALL"} & set(found)
