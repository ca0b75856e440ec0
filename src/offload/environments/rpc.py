"""Asks the other machine's Python to do something: the program is sent along, nothing needs to be installed there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from offload.errors import DiskFullError, NotWritableError, OffloadError
from offload.hosts.base import Site

# Without quotes: a login shell of any kind passes it on as it is.
_START = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"
_BEGIN, _END = "@@offload begin@@", "@@offload end@@"
_TOLD = "@@offload "
_MODULES = ("disk", "facts", "wheels", "tidy", "build", "index", "main")  # each after those that it imports
_PACKAGE = "offload.environments.payload"

Say = Callable[[str], None]


def ask(
    site: Site,
    python: str,
    request: dict[str, Any],
    seconds: float,
    stream: Iterable[bytes] = (),
    say: Say | None = None,
) -> dict[str, Any]:
    """Have a Python of the other machine do what is asked for, and return its answer.

    Parameters
    ----------
    site : Site
        The machine.
    python : str
        The path of the Python there.
    request : dict
        What to do; see `offload.environments.payload.main`.
    seconds : float
        How long it may take.
    stream : iterable of bytes
        What is sent after the request.
    say : callable, optional
        Is told what is going on there.

    Raises
    ------
    OffloadError
        If it does not work: the disk there is full, the place cannot be written, the connection was cut.
    """
    program = _program()
    words = [python, "-I", "-c", _START, str(len(program))]

    def sent() -> Iterator[bytes]:
        yield program + json.dumps(request).encode() + b"\n"
        yield from stream

    def tell(line: str) -> None:
        if say is not None and line.startswith(_TOLD):
            say(line.removeprefix(_TOLD))

    done = site.run(words, sent(), seconds=seconds, tell=tell)
    _, begin, rest = done.text.rpartition(_BEGIN)
    inner, end, _ = rest.rpartition(_END)
    if not begin or not end:
        raise OffloadError(f"{python} on {site.name} answered something else than it was asked: {done.said}")
    answer: dict[str, Any] = json.loads(inner)
    if "trouble" in answer:
        raise _translated(site, answer["trouble"])
    return answer


def _program() -> bytes:
    """Return the text of the modules in `there`, and what makes modules of it."""
    folder = os.path.join(os.path.dirname(__file__), "payload")
    texts = {}
    for name in _MODULES:
        with open(os.path.join(folder, f"{name}.py"), encoding="utf-8") as file:
            texts[f"{_PACKAGE}.{name}"] = file.read()
    return (
        "import sys, types\n"
        f"for name, text in {texts!r}.items():\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    exec(compile(text, name, 'exec'), module.__dict__)\n"
        "module.main(sys.stdin.buffer)\n"
    ).encode()


def _translated(site: Site, trouble: dict[str, str]) -> OffloadError:
    where = f"{trouble['path']} on {site.name}"
    elsewhere = "set OFFLOAD_HOME there to a directory with room, such as on a scratch disk"
    if trouble["kind"] == "full":
        return DiskFullError(f"no space is left for {where}: {trouble['reason']}", f"free some, or {elsewhere}")
    if trouble["kind"] == "denied":
        return NotWritableError(f"{where} cannot be written: {trouble['reason']}", elsewhere)
    if trouble["kind"] == "cut":
        return OffloadError(
            f"the connection to {site.name} was cut while wheels were sent", "run it again: what has arrived is kept"
        )
    return OffloadError(f"{where}: {trouble['reason']}", f"if it is the place: {elsewhere}")
