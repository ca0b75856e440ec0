"""The program that is sent: does what one request asks for, and answers between two marks."""

from __future__ import annotations

import json
import sys
from typing import Any, BinaryIO

from offload.environments.payload.build import build
from offload.environments.payload.disk import trouble
from offload.environments.payload.facts import facts, names_of
from offload.environments.payload.index import fetch
from offload.environments.payload.wheels import receive

BEGIN, END = "@@offload begin@@", "@@offload end@@"

Request = dict[str, Any]


def main(stream: BinaryIO) -> None:
    """Read a request, do it, answer."""
    request = json.loads(stream.readline())
    try:
        answer = _answer(request, stream)
    except OSError as error:
        answer = {"trouble": trouble(error, request.get("home", ""))}
    sys.stdout.write(f"\n{BEGIN}{json.dumps(answer)}{END}\n")
    sys.stdout.flush()


def _answer(request: Request, stream: BinaryIO) -> dict[str, Any]:
    what = request["do"]
    if what == "facts":
        return facts(request["home"])
    if what == "names":
        return names_of(request["python"])
    if what == "fetch":
        return fetch(request)
    received = receive(request["home"], stream)
    if "trouble" in received or what == "take":
        return received
    return {**received, **build(request)}
