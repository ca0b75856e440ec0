"""Environments that are made while calls wait for them, and processes on machines of workers that make them."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from offload.engines.errands import GONE, Errand, GoneError, Told, _exchange
from offload.environments import worker_host
from offload.environments.worker_host import WorkerHost
from offload.errors import IdentityError, OffloadError
from offload.hosts.base import NotDoneError
from offload.jobs.calls.making import MOST_REFUSALS, Making
from offload.transport.environment_error import Machine, OtherEnvironmentError

SECONDS = 30.0


def refused(node: str = "h1") -> OtherEnvironmentError:
    machine = Machine(node, "/home/me/environments", "/usr/bin/python3", "3.11", worker="tls://1.2.3.4:5")
    return OtherEnvironmentError("worker-0 has another environment", "make it", machine)


class Calls:
    """What becomes of calls."""

    def __init__(self, make: Callable[[Machine, Callable[[str], None]], tuple[str, ...]]) -> None:
        self.sent: list[str] = []
        self.failed: list[tuple[str, Exception]] = []
        self.said: list[str] = []
        self.making = Making(make, self.sent.extend, self._fail, self.said.append)

    def _fail(self, calls: Sequence[str], error: Exception) -> None:
        self.failed += [(call, error) for call in calls]

    def wait(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_calls_wait_for_one_making_and_are_sent_again() -> None:
    may, begun = threading.Event(), list[str]()

    def make(machine: Machine, say: Callable[[str], None]) -> tuple[str, ...]:
        begun.append(machine.node)
        say("making it")
        assert may.wait(SECONDS)
        return ("3.11-abc",)

    calls = Calls(make)
    assert [calls.making.takes(call, refused()) for call in "abc"] == [None] * 3
    calls.wait(lambda: begun)
    assert calls.sent == []
    may.set()
    calls.wait(lambda: len(calls.sent) == 3)
    assert (begun, calls.sent, calls.making.names) == (["h1"], ["a", "b", "c"], ("3.11-abc",))
    assert calls.said == ["worker-0 has another environment: making one like this there", "h1: making it"]


def test_what_cannot_be_made_fails_the_calls_and_is_not_tried_at_once_again() -> None:
    tried = []

    def make(machine: Machine, say: Callable[[str], None]) -> tuple[str, ...]:
        tried.append(machine.node)
        raise OffloadError("no Python 3.11", "uv python install 3.11")

    calls = Calls(make)
    assert calls.making.takes("a", refused()) is None
    calls.wait(lambda: calls.failed)
    error = calls.making.takes("b", refused())
    told = "worker-0 has another environment; nor can it be made there: no Python 3.11\n  uv python install 3.11"
    assert str(error) == str(calls.failed[0][1]) == told
    assert type(error) is IdentityError
    assert calls.making.takes("c", refused("h2")) is None  # another machine is asked
    calls.wait(lambda: len(calls.failed) == 2)
    assert tried == ["h1", "h2"]


def test_a_machine_that_is_gone_is_no_reason_to_fail_but_not_for_ever() -> None:
    def make(machine: Machine, say: Callable[[str], None]) -> tuple[str, ...]:
        raise GoneError(GONE)

    calls = Calls(make)
    for number in range(MOST_REFUSALS):
        assert calls.making.takes("a", refused()) is None
        calls.wait(functools.partial(lambda least: len(calls.sent) > least, number))
    assert str(calls.making.takes("a", refused())).startswith(
        f"worker-0 has another environment; nor can it be made there: {GONE}"
    )


def test_nothing_is_made_where_that_is_not_wanted() -> None:
    calls = Calls(lambda machine, say: ())
    assert calls.making.takes("a", refused()) is None
    calls.wait(lambda: calls.failed)
    assert str(calls.failed[0][1]) == "worker-0 has another environment\n  make it"
    assert calls.said == []


def asked(errand: Errand) -> Told:
    """As a worker answers, each exchange twice: an answer may be lost on its way."""
    first = _exchange(errand)
    if isinstance(first, str):
        raise GoneError(first)
    assert _exchange(errand) == first
    return first


def test_a_process_gets_what_is_written_and_tells_what_it_writes() -> None:
    host = WorkerHost("there", "tls://1.2.3.4:5", asked)
    lines: list[str] = []
    chunks = [b"%07d\n" % n for n in range(400_000)]
    script = "echo begins >&2; wc -c; echo half >&2; sleep 0.3; printf ends >&2; exit 0"
    done = host.run(["sh", "-c", script], chunks, seconds=SECONDS, tell=lines.append)
    assert done.text.strip() == "3200000"
    assert lines == ["begins", "half", "ends"]
    with pytest.raises(OffloadError, match="sh on there ended with 3: not so"):
        host.run(["sh", "-c", "echo not so >&2; exit 3"], seconds=SECONDS)
    with pytest.raises(GoneError, match="/nowhere/python cannot be started: No such file"):
        host.run(["/nowhere/python"], seconds=SECONDS)


def test_a_process_that_takes_too_long_is_ended(tmp_path: object) -> None:
    host = WorkerHost("there", "tls://1.2.3.4:5", asked)
    with pytest.raises(NotDoneError, match=r"sh on there was not done after 0\.2 s"):
        host.run(["sh", "-c", "exec sleep 1000"], seconds=0.2)


def test_a_process_of_a_worker_that_was_started_anew_is_gone() -> None:
    assert _exchange(Errand("tls://1.2.3.4:5", "unknown", 3, ["sh"])) == GONE


def test_who_feeds_slowly_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_host, "LONGEST_PAUSE", 0.05)
    exchanges = []

    def counted(errand: Errand) -> Told:
        exchanges.append(errand.data)
        return asked(errand)

    def slowly() -> Iterator[bytes]:
        yield b"x" * worker_host.PIECE
        time.sleep(1.0)
        yield b"y"

    done = WorkerHost("there", "tls://1.2.3.4:5", counted).run(["wc", "-c"], slowly(), seconds=SECONDS)
    assert done.text.strip() == str(worker_host.PIECE + 1)
    assert b"" in exchanges[: exchanges.index(b"y")]

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise OffloadError("the wheel is gone")

    with pytest.raises(OffloadError, match="the wheel is gone"):
        WorkerHost("there", "tls://1.2.3.4:5", asked).run(["wc", "-c"], broken(), seconds=SECONDS)
