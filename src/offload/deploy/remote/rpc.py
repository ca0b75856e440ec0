"""Asking the offload of another machine, over SSH."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from offload.deploy.remote.marks import ANSWER, STEP
from offload.errors import NotFoundError, OffloadError
from offload.hosts.base import Done, Site

SECONDS = 200.0
NOT_THERE = 127  # what a shell ends with when there is no such program

Say = Callable[[str], None]


class PythonGoneError(OffloadError):
    """The interpreter that had offload is not there any more."""


def ask(
    site: Site, python: str, verb: str, request: dict[str, Any], say: Say = lambda _: None, seconds: float = SECONDS
) -> dict[str, Any]:
    """Return the answer of :mod:`offload.deploy.remote.agent`.

    Parameters
    ----------
    site : Site
        The other machine.
    python : str
        The interpreter there that has offload.
    verb : str
        What is asked.
    request : dict
        Its arguments.
    say : callable
        Is told the steps there.
    seconds : float
        How long it may take.

    Raises
    ------
    OffloadError
        If it cannot be done: the message says where.
    """

    def step(line: str) -> bool:
        if not line.startswith(STEP):
            return False
        say(f"{site.name}: {line.removeprefix(STEP)}")
        return True

    words = [python, "-m", "offload.deploy.remote.agent", verb]
    done = site.run(words, json.dumps(request).encode(), seconds, check=False, tell=step)
    answer = _answer(done)
    if answer is None:
        kind = PythonGoneError if done.code == NOT_THERE else OffloadError
        raise kind(f"{python} on {site.name} does not run offload: {done.said}", f"try it: {site.shown(words)}")
    if "error" in answer:
        kind = NotFoundError if answer.get("kind") == "NotFoundError" else OffloadError
        raise kind(f"{site.name}: {answer['error']}", answer["hint"])
    return answer


def _answer(done: Done) -> dict[str, Any] | None:
    for line in reversed(done.text.splitlines()):
        _, mark, rest = line.partition(ANSWER)
        if mark:
            answer: dict[str, Any] = json.loads(rest)
            return answer
    return None
