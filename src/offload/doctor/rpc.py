"""Sends the program that gathers facts to a machine: offload need not be there."""

from __future__ import annotations

import json
from typing import Any

from offload.doctor import facts
from offload.errors import OffloadError
from offload.hosts.base import Line, Site

SECONDS = 60.0
# Without quotes: a login shell of any kind passes it on as it is.
_START = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"


def ask(
    site: Site,
    python: str,
    request: dict[str, Any],
    tell: Line | None = None,
    program_file: str = facts.__file__,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Return what a machine answers to a request; see `offload.doctor.facts`, the program that usually answers.

    Another one begins and ends its answer in the same way.
    """
    with open(program_file, encoding="utf-8") as file:
        program = f"{file.read()}\nmain()\n".encode()
    words = [python, "-I", "-c", _START, str(len(program))]
    # The first part is read by its length, from a buffer; the request is what is left in it.
    done = site.run(words, program + json.dumps(request).encode() + b"\n", seconds, tell=tell)
    _, begin, rest = done.text.rpartition(facts.BEGIN)
    inner, end, _ = rest.rpartition(facts.END)
    if not begin or not end:
        raise OffloadError(f"{python} on {site.name} answered something else than it was asked: {done.said}")
    answer: dict[str, Any] = json.loads(inner)
    return answer
