"""What a plan needs, where it runs: from the files, from the store, or said to be missing."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from offload.commands.planning.plan import Plan
from offload.commands.planning.stdin import Stdin
from offload.commands.recall import planner_for
from offload.commands.request import Request
from offload.commands.running.execution import prepare
from offload.commands.running.scratch import Scratch
from offload.errors import OffloadError
from offload.jobs.worker.inputs import copy_from, place_at, stdin_at
from offload.registry.session import current
from offload.storage.copies import MOMENT

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The client's directory, with an input file and an input directory."""
    path = tmp_path / "here"
    (path / "tree" / "deep").mkdir(parents=True)
    (path / "words").write_text("words\n")
    (path / "tree" / "deep" / "tool").write_text("#!/bin/sh\n")
    (path / "tree" / "deep" / "tool").chmod(0o755)
    monkeypatch.chdir(path)
    return path


def travelled(here: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Return a plan as a worker in another directory has it."""
    plan = planner_for(current()).plan([Request(["cat", "words", "tree"])], Stdin())[0]
    monkeypatch.chdir("/")
    arrived: Plan = pickle.loads(pickle.dumps(plan))
    assert arrived.transformation == plan.transformation
    place_at(arrived, str(here))
    return arrived


def staged(plan: Plan, tmp_path: Path) -> dict[str, tuple[str, bool]]:
    scratch = Scratch(str(tmp_path))
    try:
        stager = prepare(plan, scratch, copy_from(current().store))
        assert stager.strays([]) == []
        files = [path for path in Path(scratch.work).rglob("*") if path.is_file()]
        assert {path.stat().st_mtime_ns for path in files} == {MOMENT}
        return {
            str(path.relative_to(scratch.work)): (path.read_text(), os.access(path, os.X_OK)) for path in files
        }  # fmt: skip
    finally:
        scratch.remove()


WHOLE = {"words": ("words\n", False), "tree/deep/tool": ("#!/bin/sh\n", True)}


def test_inputs_are_read_from_where_the_client_was(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert staged(travelled(here, monkeypatch), tmp_path) == WHOLE


def test_what_has_changed_or_gone_comes_from_the_store(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = travelled(here, monkeypatch)
    current().store.put([b"words\n", b"#!/bin/sh\n"])
    (here / "words").write_text("other\n")
    (here / "tree" / "deep" / "tool").unlink()
    assert staged(plan, tmp_path) == WHOLE


def test_what_is_nowhere_is_named(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = travelled(here, monkeypatch)
    (here / "words").write_text("other\n")
    with pytest.raises(OffloadError, match=f"{here}/words cannot be read .* it has changed since; and its content"):
        staged(plan, tmp_path)
    (here / "words").unlink()
    with pytest.raises(OffloadError, match="No such file"):
        staged(plan, tmp_path)


def test_stdin_comes_from_its_file_or_from_the_store(here: Path, tmp_path: Path) -> None:
    store = current().store
    (checksum,) = store.put([b"words\n"])
    for stdin in (Stdin(checksum, source=str(here / "words")), Stdin(checksum), Stdin(checksum, source="/nowhere")):
        scratch = Scratch(str(tmp_path))
        descriptor = stdin_at(stdin, scratch, copy_from(store)).open(scratch)
        assert os.read(descriptor, 100) == b"words\n"
        os.close(descriptor)
        scratch.remove()
    scratch = Scratch(str(tmp_path))
    assert stdin_at(Stdin(), scratch, copy_from(store)).identity is None
    with pytest.raises(OffloadError, match="its content is not stored"):
        stdin_at(Stdin("0" * 64), scratch, copy_from(store))
    scratch.remove()
