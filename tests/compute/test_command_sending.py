"""What a plan depends on is in the store before the plan is sent."""

from __future__ import annotations

import json
import pickle
import socket
from hashlib import sha256
from pathlib import Path

import pytest

from offload.commands.planning.plan import Plan
from offload.commands.planning.stdin import Stdin, find, of_bytes
from offload.commands.recall import planner_for
from offload.commands.request import Request
from offload.commands.running.scratch import Scratch
from offload.errors import OffloadError
from offload.jobs.commands.inputs import complete, visible
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.registry.session import Session, current


@pytest.fixture
def session(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return current()


def plans(session: Session, *commands: list[str], stdin: Stdin | None = None) -> list[Plan]:
    requests = [Request(command, inputs=["tree"] if Path("tree").exists() else []) for command in commands]
    return planner_for(session).plan(requests, stdin or Stdin())


def stored(session: Session, data: bytes) -> bool:
    return session.store.has([sha256(data).hexdigest()])[0]


def test_inputs_are_stored_when_they_may_change_or_are_not_seen(session: Session) -> None:
    Path("file").write_text("a file")
    Path("tree/deep").mkdir(parents=True)
    Path("tree/deep/small").write_text("small")
    Path("tree/large").write_bytes(b"large" * 100_000)
    found = plans(session, ["cat", "file"], ["wc", "file"])
    complete(found, session.store, with_inputs=False)
    assert not stored(session, b"a file")
    complete(found, session.store, with_inputs=True)
    assert all(stored(session, data) for data in (b"a file", b"small", b"large" * 100_000))
    again = pickle.loads(pickle.dumps(found))
    assert [plan.transformation for plan in again] == [plan.transformation for plan in found]


def test_what_is_read_in_place_stays_there(session: Session, tmp_path: Path) -> None:
    place = tmp_path / "absolute"
    place.write_text("in place")
    complete(plans(session, ["cat", str(place)]), session.store, with_inputs=True)
    assert not stored(session, b"in place")


def test_an_input_that_has_changed_is_refused(session: Session) -> None:
    Path("file").write_text("before")
    found = plans(session, ["cat", "file"])
    Path("file").write_text("after")
    with pytest.raises(OffloadError, match="file changed while it was read"):
        complete(found, session.store, with_inputs=True)
    Path("file").unlink()
    with pytest.raises(OffloadError, match="the input file cannot be read: No such file"):
        complete(found, session.store, with_inputs=True)


def test_standard_input_is_stored_once_for_all(session: Session, tmp_path: Path) -> None:
    scratch = Scratch()
    try:
        large = b"0123456789" * 200_000  # more than is held in memory
        found = plans(session, ["cat"], ["wc"], stdin=of_bytes(large, scratch))
        before = [plan.transformation for plan in found]
        complete(found, session.store, with_inputs=False)
        assert stored(session, large)
        assert found[0].stdin is found[1].stdin
        assert pickle.loads(pickle.dumps(found))[0].stdin.identity == sha256(large).hexdigest()
        assert [plan.transformation for plan in found] == before
        (tmp_path / "given").write_text("in a file")
        complete(
            plans(session, ["cat"], stdin=find(str(tmp_path / "given"), session.files, scratch, print)),
            session.store,
            with_inputs=False,
        )
        assert stored(session, b"in a file")
    finally:
        scratch.remove()


@pytest.mark.parametrize(
    ("host", "spec", "expected"),
    [
        (socket.gethostname(), {}, True),
        ("elsewhere", {}, False),
        (socket.gethostname(), {"scheduler": "tls://10.0.0.5:8786"}, False),
    ],
)
def test_who_sees_the_files_of_this_machine(home: Path, host: str, spec: dict[str, str], expected: bool) -> None:
    place: Place = Registry(str(home)).create("demo", json.dumps(spec))
    assert not visible(place)  # it is not up
    Contact("running", {"host": host, "pid": 1}).write(place.contact)
    assert visible(place) is expected
