"""Storage that reads through other storage, and storage that is waited for."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from offload.errors import BufferMissingError, NotFoundError, OffloadError, StorageError
from offload.identity.checksums import checksum
from offload.storage import retrying
from offload.storage.layered import LayeredDatabase, LayeredStore
from offload.storage.memory import MemoryDatabase, MemoryStore
from offload.storage.retrying import Patience
from tests.storage.test_database_contract import entry, name


def test_buffers_of_any_layer_are_read_and_the_first_is_written(tmp_path: Path) -> None:
    own, other, last = MemoryStore(), MemoryStore(), MemoryStore()
    store = LayeredStore([own, other, last])
    own.put([b"own"])
    other.put([b"other"])
    last.put([b"last"])
    asked = [checksum(data) for data in (b"last", b"nowhere", b"own", b"other")]
    assert store.get(asked) == [b"last", None, b"own", b"other"]
    assert store.has(asked) == [True, False, True, True]
    assert store.sizes(asked) == [4, None, 3, 5]
    assert store.resolve(checksum(b"last")[:20]) == checksum(b"last")
    with store.open(checksum(b"other")) as reader:
        assert reader.read() == b"other"
    store.extract(checksum(b"last"), str(tmp_path / "last"))
    assert (tmp_path / "last").read_bytes() == b"last"
    with pytest.raises(BufferMissingError):
        store.open(checksum(b"nowhere"))
    store.put([b"new"])
    assert [layer.has([checksum(b"new")]) for layer in (own, other)] == [[True], [False]]
    assert store.delete([checksum(b"last"), checksum(b"own")]) == 1


def test_results_of_any_layer_are_recalled_and_the_first_is_written() -> None:
    own, other = MemoryDatabase(), MemoryDatabase()
    database = LayeredDatabase([own, other])
    own.record([entry(1, "mine", started=1.0)])
    other.record([entry(1, "theirs", started=3.0), entry(2, started=2.0)])
    assert database.lookup([name(2), name(1), name(3)]) == [checksum(b"result"), checksum(b"mine"), None]
    found = database.transformation(name(2))
    assert found is not None and found.checksum == name(2)
    assert [run.started for run in database.runs()] == [3.0, 2.0, 1.0]
    assert [run.started for run in database.runs(limit=2)] == [3.0, 2.0]
    assert database.producers([checksum(b"result"), checksum(b"mine")]) == [[name(2)], [name(1)]]
    assert {one.checksum for one in database.nearest("python", "module:f")} == {name(1), name(2)}
    assert sorted(database.find()) == sorted([name(1), name(2)])
    assert database.record([entry(3)]) == ["recorded"]
    assert other.lookup([name(3)]) == [None]


def test_what_is_forgotten_is_forgotten_everywhere() -> None:
    database = LayeredDatabase([MemoryDatabase(), other := MemoryDatabase()])
    other.record([entry(1)])
    assert database.forget([name(1)]) == 1
    assert database.lookup([name(1)]) == [None]


def away() -> None:
    raise StorageError("it does not answer") from OSError("refused")


def test_a_service_that_comes_back_is_waited_for() -> None:
    left = [1, 1]

    def ask() -> str:
        if left:
            left.pop()
            away()
        return "there"

    assert Patience("the storage of x", print).ask(ask) == "there"


def test_a_service_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offload.storage.retrying.TELL_AFTER", 0.0)
    told: list[str] = []
    patience = Patience("the storage of x", told.append, lambda: "no connection to h1", lambda: 0.5)
    with pytest.raises(OffloadError, match=r"the storage of x has been away for . s: no connection to h1"):
        patience.ask(away)
    assert told == ["the storage of x is away: no connection to h1; waiting up to 0.5 s"]


def test_what_the_service_itself_says_is_not_asked_again() -> None:
    def refuse() -> None:
        tries.append(1)
        raise NotFoundError("no such thing")

    tries: list[int] = []
    with pytest.raises(NotFoundError):
        Patience("the storage of x", print).ask(refuse)
    assert tries == [1]


def test_the_first_answer_from_another_machine_that_takes_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "TELL_AFTER", 0.05)
    told: list[str] = []
    heard = threading.Event()

    def say(text: str) -> None:
        told.append(text)
        heard.set()

    def slow() -> str:
        assert heard.wait(60)
        return "there"

    far = Patience("the storage of x", say, far=True)
    assert far.ask(slow) == "there"
    assert told == ["the storage of x has not answered yet; still waiting"]
    heard.clear()
    assert far.ask(lambda: heard.wait(0.3)) is False  # it has answered before: that this takes long is its own business
    near = Patience("the storage of y", say)
    assert near.ask(lambda: heard.wait(0.3)) is False
    assert len(told) == 1
