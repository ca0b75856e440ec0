"""Makes an environment on the other machine, unless it is ready there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from offload.environments.probe import Looked, look, no_python
from offload.environments.rpc import ask
from offload.environments.wanted import OWN, Needs
from offload.environments.wheels.gather import Gathering
from offload.environments.wheels.pip import pip_wheel
from offload.environments.wheels.send import Sending
from offload.errors import DiskFullError, OffloadError
from offload.hosts.base import Site
from offload.notices import counted

FACTS_SECONDS = 60.0
BUILD_SECONDS, SLOWEST = 2400.0, 20_000
"""How long building may take, and how many bytes a second a link carries at least."""

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A Python on the other machine that has this very offload.

    Attributes
    ----------
    python : str
        Its absolute path there.
    choice : str
        What was asked for.
    environment : str or None
        The directory of the environment, where it is one that offload has made.
    built : bool
        Whether it was made now.
    distributions : int
        How many it has, as far as they were brought.
    cached, fetched, sent, sent_bytes : int
        Wheels that were there, that an index there gave, that were sent, and their bytes.
    lock : str or None
        The lock file whose versions were taken.
    differences : tuple of str
        What differs from what is installed here.
    left_out : tuple of str
        What is installed here and cannot be brought.
    removed : tuple of str
        Environments that nobody had used for long.
    """

    python: str
    choice: str
    environment: str | None = None
    built: bool = False
    distributions: int = 0
    cached: int = 0
    fetched: int = 0
    sent: int = 0
    sent_bytes: int = 0
    lock: str | None = None
    differences: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def synced(site: Site, home: str, wanted: Needs, say: Say, python: str = "") -> Prepared:
    """Return the environment that has all that is needed, made unless it is ready.

    Parameters
    ----------
    site : Site
        The machine.
    home : str
        The directory there that keeps environments; empty for the usual one.
    wanted : Needs
        What it is to have.
    say : callable
        Is told each step.
    python : str
        The Python there to make it with, where it is not found by itself.
    """
    if wanted.left_out:
        say(f"left out, for the operating system has not listed their files: {', '.join(wanted.left_out)}")
    for difference in wanted.differences:
        say(f"differs: {difference}")
    name = wanted.name()
    looked = look(site, home, name=name, chosen=python)
    return made(site, looked, wanted, name, "sync", say, python)


def made(
    site: Site,
    looked: Looked,
    wanted: Needs,
    name: str,
    choice: str,
    say: Say,
    chosen: str = "",
    beside: Sequence[str] = (),
    differences: tuple[str, ...] = (),
) -> Prepared:
    """Return the environment of a name, made unless it is ready."""
    common: dict[str, Any] = {
        "choice": choice,
        "distributions": len(wanted.wanted),
        "lock": wanted.lock,
        "differences": wanted.differences + differences,
        "left_out": wanted.left_out,
    }
    if looked.ready is not None:
        say(f"the environment is ready: {looked.ready}")
        return Prepared(f"{looked.ready}/bin/python", environment=looked.ready, cached=len(wanted.wanted), **common)
    if looked.python is None:
        raise no_python(site, looked, chosen, "")
    say(f"making an environment of {counted(len(wanted.wanted), 'distribution')} with {looked.python}")
    facts = ask(site, looked.python, {"do": "facts", "home": looked.home}, FACTS_SECONDS)
    gathering = Gathering(site, looked.home, looked.python, facts, say)
    with gathering.sources(wanted.wanted, pip_wheel()) as found:
        _check_room(site, looked.home, found.size, facts["free"])
        if found.cached or found.fetched:
            fetched = counted(found.fetched, "has", "have")
            say(f"{counted(found.cached, 'wheel is', 'wheels are')} there, {fetched} come from an index there")
        stream = Sending(found.to_send, say)
        if found.to_send:
            say(f"sending {counted(len(found.to_send), 'wheel')}, {found.sending_text}")
        request = {
            "do": "build",
            "home": looked.home,
            "name": f"{name}-{looked.machine}",
            "wheels": found.wheels,
            "beside": list(beside),
            "imports": _imports(wanted),
            "about": {"distributions": sorted(map(str, wanted.wanted)), "lock": wanted.lock, "beside": list(beside)},
        }
        answer = ask(site, looked.python, request, BUILD_SECONDS + found.size / SLOWEST, stream, say)
    if "failed" in answer:
        raise OffloadError(
            f"the environment on {site.name} does not work there: {answer['failed']}",
            "does it need libraries of this machine? name a Python there that has it: python:/path/of/python",
        )
    place: str = answer["environment"]
    return Prepared(
        f"{place}/bin/python",
        environment=place,
        built=answer["built"],
        cached=found.cached,
        fetched=found.fetched,
        sent=stream.count,
        sent_bytes=stream.size,
        removed=tuple(answer.get("removed", ())),
        **common,
    )


def _imports(wanted: Needs) -> list[str]:
    """Return the modules that have to work there: offload, and what it needs that is compiled."""
    keys = {one.name.lower() for one in wanted.wanted}
    return [name for name in (OWN, "distributed", "psutil", "cryptography", "aiohttp", "msgpack") if name in keys]


def _check_room(site: Site, home: str, size: int, free: int) -> None:
    if size * 1.5 > free:  # the wheels, and what is unpacked
        raise DiskFullError(
            f"{home} on {site.name} has {free / 1e6:,.0f} MB free, and about {size * 1.5 / 1e6:,.0f} MB are needed",
            "free some, or set OFFLOAD_HOME there to a directory with room, such as on a scratch disk",
        )
