"""Storage that is waited for while its service stops and another one takes its place, somewhere else."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from offload.errors import OffloadError, StorageError
from offload.http.connection import in_words
from offload.identity.checksums import BLOCK, checksum
from offload.storage import retrying
from offload.storage.http.store import HttpStore
from offload.storage.retrying import AwayError, NotUpError, Patience, PatientStore
from tests.storage.service.serving import Served

LARGE = b"0123456789abcdef" * (10 * BLOCK // 16) + b"end"


class Moving:
    """A service that can be stopped and started anew at another port; its store stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.served: Served | None = None
        self.start()

    def start(self) -> None:
        self.served = Served(self._path).start()

    def stop(self) -> None:
        if self.served is not None:
            served, self.served = self.served, None
            served.stop()

    def start_soon(self) -> threading.Timer:
        timer = threading.Timer(1.0, self.start)
        timer.start()
        return timer

    def connect(self) -> HttpStore:
        if self.served is None:
            raise NotUpError("its head has died; bringing it up again: starting the head")
        return HttpStore(self.served.client())


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[Moving]:
    moving = Moving(tmp_path)
    yield moving
    moving.stop()


@pytest.fixture
def store(moving: Moving) -> Iterator[PatientStore]:
    with PatientStore(moving.connect, lambda: Patience("the storage of x", print)) as store:
        yield store


def restarted(moving: Moving, what: Callable[[], object]) -> object:
    """Do something while the service is away, and comes back after a second."""
    moving.stop()
    timer = moving.start_soon()
    try:
        return what()
    finally:
        timer.join()


def test_a_buffer_is_read_on(moving: Moving, store: PatientStore) -> None:
    name = store.put([LARGE])[0]
    with store.open(name) as reader:
        first = reader.read(3 * BLOCK)
        rest = restarted(moving, reader.read)
        assert isinstance(rest, bytes)
        assert first + rest == LARGE
        reader.seek(BLOCK - 1)
        assert restarted(moving, lambda: reader.read(2)) == LARGE[BLOCK - 1 : BLOCK + 1]


def test_a_reader_is_closed_while_the_service_is_away(moving: Moving, store: PatientStore) -> None:
    reader = store.open(store.put([LARGE])[0])
    moving.stop()
    reader.close()
    moving.start()


def test_a_stream_is_sent_once_the_service_is_back(moving: Moving, store: PatientStore) -> None:
    store.has([])
    assert restarted(moving, lambda: store.put_stream(iter([b"a", b"b"]))) == checksum(b"ab")


def test_a_stream_that_has_begun_cannot_be_sent_again(moving: Moving, store: PatientStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a" * BLOCK
        moving.stop()
        yield b"b" * 100 * BLOCK

    with pytest.raises(StorageError, match="went away in the middle of a stream"):
        store.put_stream(chunks())


def test_a_lease_is_renewed_at_the_next_service(moving: Moving, store: PatientStore) -> None:
    name = store.put([b"held"])[0]
    with store.lease([name], 3600.0) as lease:
        restarted(moving, lambda: lease.renew(3600.0))
        assert store.collect(0).buffers == 0  # nothing that is not held
        assert store.has([name]) == [True]


def test_errors_of_a_service_that_stops_are_its_end(moving: Moving, store: PatientStore) -> None:
    """What it was doing when it was told to stop may fail in any way: it is done again by the next one."""
    name = store.put([b"x"])[0]
    served = moving.served
    assert served is not None
    asked, failures = threading.Event(), [StorageError("the store is closed"), RuntimeError("no more threads")]

    def fails(_: Sequence[str]) -> list[bool]:
        asked.set()
        time.sleep(1)  # it is being stopped meanwhile
        raise failures.pop()

    found: list[list[bool]] = []
    for _ in range(2):
        served = moving.served
        assert served is not None
        served.store.has = fails  # type: ignore[assignment,method-assign]
        thread = threading.Thread(target=lambda: found.append(store.has([name])))
        thread.start()
        assert asked.wait(20)
        asked.clear()
        moving.stop()
        moving.start()
        thread.join()
    assert found == [[True], [True]]
    assert failures == []


def test_a_bring_up_is_waited_for_longer_and_each_reason_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "TELL_AFTER", 0.0)
    monkeypatch.setattr(retrying, "LONG_PATIENCE", 3.0)
    reasons = ["starting the head", "job 54 is pending", "job 54 is pending", "job 54 was cancelled; trying again"]
    told: list[str] = []

    def ask() -> None:
        raise NotUpError(reasons.pop(0)) if reasons else StorageError("no answer") from OSError("refused")

    waits = Patience("the storage of x", told.append, lambda: "no connection", lambda: 0.1)
    with pytest.raises(AwayError, match=r"has been away for 3 s: no connection") as caught:
        waits.ask(ask)
    assert isinstance(caught.value, OffloadError)
    assert [line.split(": ", 1)[1].partition(";")[0] for line in told] == [
        "starting the head", "job 54 is pending", "job 54 was cancelled", "no connection",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "the connection was cut"),
        (BrokenPipeError(32, "Broken pipe"), "the connection was cut"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol (_ssl.c:992)"), "the connection was cut"),
        (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed (EOF) (_ssl.c:992)"), "the connection was cut"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OSError("odd"), "odd"),
        (OSError(), "OSError"),
    ],
)
def test_what_has_happened_to_a_connection_is_told_in_words(error: OSError, told: str) -> None:
    assert in_words(error) == told
