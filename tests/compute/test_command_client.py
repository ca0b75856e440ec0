"""The client of commands on a deployment, with a service that fails as it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from offload.errors import UsageError
from offload.http.client import Client
from offload.http.errors import to_body
from offload.jobs.calls.protocol import dump, load
from offload.jobs.commands import client as module
from offload.jobs.commands.client import CommandJobs
from offload.jobs.commands.follow import Followed
from offload.jobs.commands.protocol import ENDED, RUNNING, WAITING, News, Outcome, Watch
from offload.storage import retrying

TOKEN = "t" * 20
Answer = Callable[[Any], Any]


class Faulty:
    """A job service that answers each request with the next of a list: a value, a function, or an exception.

    A `ConnectionError` cuts the connection after half of an answer.
    """

    def __init__(self, answers: list[Any]) -> None:
        self.asked: list[tuple[str, Any]] = []
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                message = load(self.rfile.read(int(self.headers["Content-Length"])))
                faulty.asked.append((self.path, message))
                answer = answers.pop(0)
                if isinstance(answer, ConnectionError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
                    self.close_connection = True
                elif isinstance(answer, UsageError):
                    import json

                    status, body = to_body(answer)
                    self._send(status, json.dumps(body).encode())
                else:
                    self._send(200, dump(answer(message) if callable(answer) else answer))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def connect(self) -> Client:
        return Client(f"http://127.0.0.1:{self.server.server_address[1]}", TOKEN)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[list[Any]], tuple[Faulty, CommandJobs, list[str]]]]:
    """Start a service with a list of answers; gives it, a client, and what the client says."""
    opened: list[Any] = []

    def start(answers: list[Any]) -> tuple[Faulty, CommandJobs, list[str]]:
        faulty, said = Faulty(answers), []  # type: ignore[var-annotated]
        jobs = CommandJobs("demo", faulty.connect, said.append)
        opened.extend((faulty, jobs))
        return faulty, jobs, said

    yield start
    for one in opened:
        one.close()


def followed(number: int = 1) -> tuple[Followed, list[bytes]]:
    written: list[bytes] = []

    def sink(data: bytes) -> bool:
        written.append(data)
        return True

    return Followed(number, lambda name: pytest.fail(f"{name} needs a file"), (sink, sink)), written


def done(*output: bytes) -> dict[int, News]:
    return {1: News(ENDED, stdout=b"".join(output), outcome=Outcome(0))}


def test_output_goes_on_where_it_was_when_a_connection_broke(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAUSE", 0.01)
    faulty, jobs, said = serve(
        [{1: News(RUNNING, stdout=b"one ", stderr=b"e")}, ConnectionError(), ConnectionError(), done(b"two")]
    )
    one, written = followed()
    outcome = jobs.wait(one)
    assert outcome is not None
    assert outcome.exit_code == 0
    assert written == [b"e", b"one ", b"two"]
    watched = [message.jobs[1] for _, message in faulty.asked]
    assert watched == [(0, 0), (4, 1), (4, 1), (4, 1)]
    assert said == []  # it was away for a moment only


def test_the_user_is_told_of_a_service_that_is_away(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAUSE", 0.01)
    monkeypatch.setattr(retrying, "TELL_AFTER", 0.0)
    _, jobs, said = serve([ConnectionError(), ConnectionError(), []])
    assert jobs.listing(False) == []
    assert said == [
        "the job service of demo is away; waiting up to 120 s",
        "the job service of demo is there again",
    ]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PATIENCE", 0.3)
    monkeypatch.setattr(retrying, "PAUSE", 0.05)
    jobs = CommandJobs("demo", lambda: Client("http://127.0.0.1:1", TOKEN), lambda text: None)
    with pytest.raises(retrying.AwayError, match=r"the job service of demo has been away for 0 s"):
        jobs.listing(False)


def test_what_the_service_refuses_is_not_asked_again(serve: Any) -> None:
    faulty, jobs, _ = serve([UsageError("not so", "but so")])
    with pytest.raises(UsageError, match="not so"):
        jobs.listing(False)
    assert len(faulty.asked) == 1


def test_reasons_are_told_after_a_while_and_when_they_change(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TELL_AFTER", 0.3)

    def silent(watch: Watch) -> dict[int, News]:
        time.sleep(watch.seconds)
        return {}

    def then(**news: Any) -> Answer:
        def answer(watch: Watch) -> dict[int, News]:
            time.sleep(0.4)
            return {1: News(**news)}

        return answer

    _, jobs, said = serve(
        [
            {1: News(WAITING, "3 jobs before it")},
            silent,
            then(state=WAITING, reason="waiting for a free worker"),
            then(state=RUNNING, worker="worker-0"),
            done(),
        ]
    )
    jobs.wait(followed()[0])
    assert said == ["job 1: 3 jobs before it", "job 1: waiting for a free worker", "job 1: running on worker-0"]


def test_a_short_wait_is_silent(serve: Any) -> None:
    _, jobs, said = serve([{1: News(WAITING, "3 jobs before it")}, done()])
    jobs.wait(followed()[0])
    assert said == []


def test_waiting_ends_when_it_takes_too_long(serve: Any) -> None:
    _, jobs, _ = serve([{1: News(RUNNING)}, {}, {}])
    assert jobs.wait(followed()[0], timeout=0.0) is None


def test_a_reader_that_is_gone_ends_it(serve: Any) -> None:
    _, jobs, _ = serve([{1: News(RUNNING, stdout=b"x")}])
    one = Followed(1, str, (lambda data: False, None))
    with pytest.raises(BrokenPipeError):
        jobs.wait(one)
