"""Reading the logs of a deployment wherever it is: files here, and what its head or its machine gives of those."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from offload.deploy.config.link import Link
from offload.deploy.head_client import HeadGoneError, ask
from offload.deploy.lifecycle.common import known, link_of
from offload.deploy.logs import Line, merged, said
from offload.errors import OffloadError
from offload.registry.contact import AWAY
from offload.registry.deployments import Place

SSH_PAUSE = 3.0
"""Seconds between two questions over SSH: each is a program that is started there."""


class LogReader:
    """Reads logs: the last lines at first, then what is added.

    Parameters
    ----------
    place : Place
        The deployment, as it is known here.
    only : str, optional
        Whose log, if not all of them.

    Attributes
    ----------
    trouble : OffloadError or None
        Why the logs on another machine could not be read the last time.
    """

    def __init__(self, place: Place, only: str | None = None) -> None:
        self.trouble: OffloadError | None = None
        self._place = place
        self._only = only
        link = link_of(place)
        self._here = _Part(lambda request: said(place, **request))
        self._there = None if link is None else _Part(_There(place, link).answer)

    def last(self, lines: int) -> dict[str, list[str]]:
        """Return the last lines of each log, by who has said them."""
        return self._read(lines)

    def added(self) -> list[Line]:
        """Return the whole lines that have been added since the last time, in the order of time."""
        return merged(self._read(0))

    def is_over(self) -> bool:
        """Tell whether there is nothing left to follow, as the deployment has been brought down."""
        return self._here.over or (self._there is not None and self._there.over)

    def _read(self, lines: int) -> dict[str, list[str]]:
        found = self._here.read(lines, self._only)
        if self._there is not None and not self._here.over:
            try:
                found = {**self._there.read(lines, self._only), **found}
                self.trouble = None
            except OffloadError as exc:
                self.trouble = exc
        return found


class _Part:
    """The logs of one machine, and how far they have been read."""

    def __init__(self, answer: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        self.over = False
        self._answer = answer
        self._known: dict[str, list[int]] | None = None

    def read(self, lines: int, only: str | None) -> dict[str, list[str]]:
        """Return what there is to read now."""
        answer = self._answer({"read": self._known, "lines": lines, "only": only})
        if answer is None:
            return {}
        self._known, self.over = answer["read"], answer["over"]
        found: dict[str, list[str]] = answer["said"]
        return found


class _There:
    """Asks the head on another machine, or that machine, where the head does not answer."""

    def __init__(self, place: Place, link: Link) -> None:
        self._place = place
        self._link = link
        self._next = 0.0

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer; None where it is too early to ask again."""
        contact = known(self._place)
        gone: OffloadError | None = None
        if contact is not None and contact.state != AWAY and contact.head_lives():
            try:
                return ask(self._place, contact, "POST", "/v1/logs", request)
            except HeadGoneError as exc:
                gone = exc
        if self._link.site is None or not self._link.python:
            raise gone or OffloadError(f"{self._place.name} is not reached now", f"offload up {self._place.name}")
        if time.monotonic() < self._next:
            return None
        try:
            return self._over_ssh(self._link.python, request)
        finally:
            self._next = time.monotonic() + SSH_PAUSE

    def _over_ssh(self, python: str, request: dict[str, Any]) -> dict[str, Any]:
        from offload.deploy.remote import replica, rpc

        site = replica.site_of(self._link, ask=False)
        assert site is not None
        site.open()  # the connection that is kept, or is to be kept: it is not closed here
        return rpc.ask(site, python, "logs", {"name": self._place.name, **request})
