"""What whoever keeps a connection finds out of the other machine, without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offload.deploy.config.link import DIRECT, Link
from offload.deploy.config.spec import Spec
from offload.deploy.head_client import HeadGoneError
from offload.deploy.remote import connection as module
from offload.deploy.remote.connection import Keeper
from offload.errors import OffloadError
from offload.registry.contact import AWAY, DOWN, Contact
from offload.registry.deployments import Place, Registry


@pytest.fixture
def place(tmp_path: Path) -> Place:
    link = Link("ssh://me@login", DIRECT, runtime=str(tmp_path), python="/usr/bin/python3", head="https://10.0.0.1:1")
    return Registry(str(tmp_path / "home")).create("big", Spec(name="big", link=link).to_json())


def found(place: Place, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> Contact:
    """Return what is kept when the head does not answer, and its machine says so of it."""

    def gone(*_: object, **__: object) -> None:
        raise HeadGoneError("it does not answer")

    monkeypatch.setattr(module, "request", gone)
    monkeypatch.setattr(Keeper, "_ask_there", lambda *_: answer)
    keeper = Keeper(place)
    keeper.begin()
    keeper._contact.head["url"] = "https://127.0.0.1:2"
    try:
        assert keeper._ask_head() is None
    except OffloadError as exc:
        keeper._is_away(exc)
    kept = Contact.read(place.contact)
    assert kept is not None
    return kept


@pytest.mark.parametrize("before", [None, {"head": {"url": "https://10.0.0.1:1"}}])
def test_a_head_that_is_queued_again_is_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch, before: dict[str, Any] | None
) -> None:
    kept = found(place, monkeypatch, {"contact": before, "state": "pending: BeginTime"})
    assert (kept.state, kept.reason) == (AWAY, "its head on ssh://me@login is not up yet: pending: BeginTime")


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        ({"state": "dead"}, "dead", "its head has died on ssh://me@login"),
        (
            {"state": "down", "known": True},
            "dead",
            "its head has died on ssh://me@login",
        ),  # by a reboot
        ({"state": "down", "known": False}, DOWN, "it has been brought down on ssh://me@login"),
        ({"state": "ended: idle for 4 s"}, DOWN, "it has ended: idle for 4 s on ssh://me@login"),
    ],
)
def test_what_has_died_and_what_has_been_brought_down(
    place: Place, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], state: str, reason: str
) -> None:
    kept = found(place, monkeypatch, {"contact": None, **answer})
    assert (kept.state, kept.reason) == (state, reason)
