"""Why a worker has ended: told with the call that it took along."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.engines import worker_deaths
from offload.engines.worker_deaths import TOPIC, Deaths
from offload.errors import WorkerLostError
from offload.util.exit_status import described


@pytest.mark.parametrize(
    ("code", "used", "words"),
    [
        (3, None, "ended with exit code 3"),
        (-9, None, "was ended by signal 9 (SIGKILL): the system does that where memory runs out"),
        (-11, None, "was ended by signal 11 (SIGSEGV), a segmentation fault"),
        (-15, 3 * 2**20, "was ended because it used 3.00 MiB of 2.00 MiB, its memory limit"),
        (-200, None, "was ended by signal 200"),
    ],
)
def test_in_words(code: int, used: int | None, words: str) -> None:
    assert described(code, used, 2 * 2**20).startswith(words)


class Client:
    """Takes the place of Dask's: events are sent by hand."""

    send: Callable[[tuple[float, dict[str, str]]], None]

    def subscribe_topic(self, topic: str, handler: Any) -> None:
        assert topic == TOPIC
        self.send = handler


def test_news_are_waited_for_and_old_ones_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    known = Deaths(client)
    assert known.of("tls://x:1", "w-0") == ""
    later = threading.Timer(
        0.1, client.send, [(0.0, {"worker": "tls://x:1", "name": "w-0", "why": "ended with exit code 3"})]
    )
    later.start()
    assert known.of("tls://x:1", "w-0", 60) == "w-0 ended with exit code 3"
    assert known.of("tls://x:2", "w-0") == "w-0 ended with exit code 3"  # it had not told its address yet
    monkeypatch.setattr(worker_deaths, "LATELY", 0.0)
    assert known.of("tls://x:2", "w-0") == ""
    monkeypatch.setattr(worker_deaths, "REMEMBERED", 2)
    for number in range(9):
        client.send((0.0, {"worker": f"tls://y:{number}", "name": str(number), "why": "was frozen"}))
    assert known.of("tls://x:1", "w-0") == ""
    assert known.of("tls://y:8", "8") == "worker 8 was frozen"


@offload.task(effects="ignore")
def die(how: str) -> int:
    """End the process that runs this."""
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segv":
        ctypes.string_at(0)
    return 1


@pytest.fixture
def own(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster of this process's own, ended afterwards."""
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "none")
    yield
    submit.shutdown()


@pytest.mark.real
@pytest.mark.usefixtures("own")
def test_a_call_that_ends_its_process_says_how_and_the_cluster_goes_on() -> None:
    for how, words in (("exit", "ended with exit code 3"), ("kill", "signal 9 (SIGKILL)"), ("segv", "(SIGSEGV)")):
        with pytest.raises(WorkerLostError, match=r"the process that ran it .*, twice") as caught:
            die.submit(how).result(timeout=120)
        assert words in caught.value.message
    assert die.submit("not at all").result(timeout=120) == 1
