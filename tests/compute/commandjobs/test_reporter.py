"""What a worker tells the service, and when it stops waiting for one that is away."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from offload.jobs.commands.protocol import Outcome, Report
from offload.jobs.worker import report as module
from offload.jobs.worker.report import Reporter, Service, ServiceAwayError, Told
from offload.registry.contact import Contact
from offload.registry.deployments import Place


class Listener:
    """Takes reports as the service does."""

    def __init__(self, go_on: bool = True) -> None:
        self.out = b""
        self.last: Report | None = None
        self.go_on = go_on
        self.open = threading.Event()
        self.open.set()
        self.stopped = threading.Event()
        self.largest = 0

    def ask(self, path: str, reports: Any) -> list[bool]:
        (report,) = reports
        assert path == "/v1/attempts/report"
        self.open.wait(60)
        assert report.stdout_at == len(self.out)
        self.out += report.stdout
        self.largest = max(self.largest, len(report.stdout))
        if report.outcome is not None:
            self.last = report
        return [self.go_on]

    def reporter(self) -> Told:
        reporter = Reporter(self.ask, [(1, 1)], lambda job: self.stopped.set())
        reporter.start()
        self.reporters = [reporter]
        return reporter.told[1]

    def close(self) -> None:
        self.reporters[0].close()


def test_output_comes_in_pieces_and_the_outcome_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 1000)
    listener = Listener()
    reporter = listener.reporter()
    text = bytes(range(256)) * 100
    for start in range(0, len(text), 999):
        assert reporter.write(0, text[start : start + 999])
    reporter.finish(Outcome(exit_code=0))
    listener.close()
    assert listener.out == text
    assert listener.largest == 1000
    assert listener.last is not None
    assert not listener.stopped.is_set()


def test_a_command_waits_for_a_service_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 1000)
    listener = Listener()
    listener.open.clear()
    reporter = listener.reporter()
    written = threading.Event()

    def write() -> None:
        for _ in range(3):
            reporter.write(0, b"x" * 800)
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not written.wait(0.5)
    listener.open.set()
    assert written.wait(60)
    thread.join()
    reporter.finish(Outcome(exit_code=0))
    listener.close()
    assert listener.out == b"x" * 2400


def test_a_refused_command_is_stopped_and_its_end_still_told() -> None:
    listener = Listener(go_on=False)
    reporter = listener.reporter()
    assert listener.stopped.wait(60)
    assert reporter.refused
    reporter.write(0, b"last words")
    reporter.finish(Outcome(cancelled=True))
    listener.close()
    assert listener.out == b"last words"
    assert listener.last is not None


def test_a_service_that_stays_away_is_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    def away(path: str, reports: object) -> list[bool]:
        raise ServiceAwayError("it is away")

    stopped = threading.Event()
    reporter = Reporter(away, [(1, 1)], lambda job: stopped.set())
    reporter.start()
    assert stopped.wait(60)
    reporter.told[1].write(0, b"x" * 2 * module.HELD)  # must not wait for anybody
    reporter.told[1].finish(Outcome(exit_code=0))
    reporter.close()
    assert "job 1 is given up: it is away" in capfd.readouterr().err


def test_an_answer_that_nobody_understands_ends_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    def ask(path: str, reports: Any) -> list[bool]:
        raise ValueError("no pickle")

    stopped = threading.Event()
    reporter = Reporter(ask, [(1, 1)], lambda job: stopped.set())
    reporter.start()
    assert reporter.told[1].write(0, b"x" * 2 * module.HELD)
    assert stopped.wait(60)
    reporter.close()
    assert capfd.readouterr().err == "job 1 is given up: ValueError: no pickle\n"


def test_a_service_is_looked_for_until_patience_ends(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "deployments" / "test"))
    Path(place.keys).mkdir(parents=True)
    Path(place.token).write_text("x" * 20)
    service = Service(place, patience=0.1)
    with pytest.raises(ServiceAwayError, match="job service of test has been away"):
        service.ask("/v1/x", None)
    Contact("running", {"pid": 1}, None, "http://127.0.0.1:1").write(place.contact)
    with pytest.raises(ServiceAwayError, match="does not answer"):
        service.ask("/v1/x", None)
