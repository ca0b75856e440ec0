"""Programs that are not here: which are looked for where a deployment's workers are, and what counts of them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from offload.commands.planning.fingerprints import seen, take
from offload.commands.planning.plan import Plan
from offload.commands.planning.planner import Planner
from offload.commands.planning.program_software import package_changes
from offload.commands.planning.programs import CommandNotFoundError
from offload.commands.planning.remote_programs import around, described, look_there
from offload.commands.planning.stdin import Stdin
from offload.commands.request import Asking, Request
from offload.commands.why import compare
from offload.registry.deployments import Place, Registry
from offload.storage.file_checksums import FileChecksums

LINK = {"site": "ssh://me@login", "environment": "sync", "choices": {"prologue": ["module load tool/1.2"]}}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(str(tmp_path))


def place(registry: Registry, name: str = "hpc", **spec: Any) -> Place:
    return registry.create(name, json.dumps({"name": name, "link": None, "job": {}, "groups": {}, **spec}))


class Here(Asking):
    """Workers that have the programs of some directories of this machine."""

    def __init__(self, *paths: str) -> None:
        self.path, self.asked = ":".join(paths), 0

    def ask(self, plans: Sequence[Plan], recorded: Callable[[str], bool]) -> None:
        self.asked += 1
        for plan in plans:
            with closing(FileChecksums(f"{self.path.partition(':')[0]}/files.sqlite")) as files:
                take(plan, seen(plan, self.path, files))


def looked(where: Place, *argv: str, everything: bool = False, asking: Asking | None = None) -> Request:
    request = Request(list(argv))
    look_there([request], where, everything, lambda: asking or Here("/nowhere"))
    return request


def test_what_is_looked_for_there(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.sh").write_text("#!/bin/sh\n")
    hpc = place(registry, link=LINK)
    there = looked(hpc, "mytool", "3")
    assert there.argv == ["env", "mytool", "3"]
    assert there.there == {
        "machine": "ssh://me@login", "environment": "sync", "prologue": ["module load tool/1.2"],
    }  # fmt: skip
    assert pickle.loads(pickle.dumps(there)).asking is None
    assert looked(hpc, "/opt/no/such/tool").argv == ["env", "/opt/no/such/tool"]
    for argv in (["sh", "-c", "mytool"], ["./mytool"], ["cd"], ["a | b"], ["here.sh"], ["bin/tool"]):
        unchanged = looked(hpc, *argv)
        assert (unchanged.argv, unchanged.there, unchanged.asking) == (argv, None, None)
    every = looked(hpc, "sh", "-c", "mytool", everything=True)
    assert every.argv == ["env", "sh", "-c", "mytool"] and every.there == there.there


def test_a_deployment_of_this_machine(registry: Registry) -> None:
    plain = place(registry, "plain")
    assert described(plain) is None
    assert looked(plain, "mytool").there is None
    with pytest.raises(CommandNotFoundError, match="programs of this machine"):
        looked(plain, "mytool", everything=True)
    module = place(registry, "module", groups={"big": {"job": {"prologue": ["module load x"]}}})
    assert described(module) == {"machine": "", "environment": "", "prologue": ["module load x"]}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    write(tmp_path / "bin" / "mytool", f"#!/bin/sh\ninner; {tmp_path}/libexec/real; unknown\n")
    write(tmp_path / "bin" / "inner", "#!/usr/bin/env myinterpreter\n")
    write(tmp_path / "bin" / "myinterpreter", "one")
    (tmp_path / "libexec").mkdir()
    write(tmp_path / "libexec" / "real", "one")
    return tmp_path / "bin"


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_what_counts(registry: Registry, tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FileChecksums(str(tmp_path / "files.sqlite"))

    def planned(where: Place, *argv: str, everything: bool = False) -> Plan:
        asking = Here(str(tools), "/usr/bin", "/bin")
        return Planner(files).plan([looked(where, *argv, everything=everything, asking=asking)], Stdin())[0]

    older = place(registry, "older", link=LINK)
    newer = place(registry, "newer", link={**LINK, "choices": {"prologue": ["module load tool/1.3"]}})
    first = planned(older, "mytool", "3")
    assert first.transformation == planned(place(registry, "same", link=LINK), "mytool", "3").transformation
    (difference,) = compare(first.record, planned(newer, "mytool", "3").record)
    assert difference["what"] == "machine of its programs" and "tool/1.3" in str(difference["now"])
    assert first.program_checksums.keys() == {"/bin/sh", "inner", "myinterpreter", str(tools.parent / "libexec/real")}
    text = planned(older, "sh", "-c", "inner | sort", everything=True)
    assert text.program_checksums.keys() == {"inner", "myinterpreter"}  # those of the system do not count
    tool, inner = ("mytool", "3"), ("sh", "-c", "inner | sort")
    named = {"bin/myinterpreter": True, "libexec/real": False, "bin/inner": True, "bin/mytool": False}
    for changed, by_inner in named.items():
        earlier = [planned(older, *tool), planned(older, *inner, everything=True)]
        write(tools.parent / changed, (tools.parent / changed).read_text() + "\n# edited\n")
        later = [planned(older, *tool), planned(older, *inner, everything=True)]
        others = [one.transformation != other.transformation for one, other in zip(earlier, later, strict=True)]
        assert others == [True, by_inner], changed
    before = planned(older, *tool)
    monkeypatch.setenv("LOADEDMODULES", "gcc/12:tool/1.4")
    now = planned(older, *tool)
    assert package_changes(before.installed, now.installed) == ["module gcc none -> 12", "module tool none -> 1.4"]
    assert now.transformation != before.transformation
    plain = Planner(files).plan([Request(["sh", "-c", "true"])], Stdin())[0]
    assert "there" not in plain.record
    files.close()


def test_many_are_asked_for_at_once(registry: Registry, tmp_path: Path, tools: Path) -> None:
    hpc, asking = place(registry, link=LINK), Here(str(tools))
    requests = [looked(hpc, "mytool", str(number), asking=asking) for number in range(300)]
    with closing(FileChecksums(str(tmp_path / "files.sqlite"))) as files:
        plans = Planner(files).plan(requests, Stdin())
    assert asking.asked == 1 and len({plan.transformation for plan in plans}) == 300


def test_what_it_finds_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOL_HOME", "/opt/tool")
    monkeypatch.setenv("OFFLOAD_BUFFERS", "offload://x")
    found = around()
    assert found["TOOL_HOME"] == "/opt/tool"
    assert not {"OFFLOAD_BUFFERS", "PATH", "HOME", "TMPDIR", "LC_ALL"} & set(found)
