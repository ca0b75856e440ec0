"""Brings the wheels that an environment needs into the cache there: the cheapest source first."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from offload.environments.installed import Installed
from offload.environments.rpc import ask
from offload.environments.wanted import Wanted
from offload.environments.wheels.download import download
from offload.environments.wheels.pack import size, wheel_name
from offload.environments.wheels.platforms import Platform, wheel_of
from offload.environments.wheels.send import Wheel
from offload.errors import OffloadError
from offload.hosts.base import Site
from offload.notices import counted

FETCH_SECONDS, PIP_SECONDS = 2400.0, 600.0
INDEX_FROM = 20_000_000
"""So many bytes of installed files have to be missing there for an index to be asked: less is sent in the same time."""

_SHRINKS = 3  # installed files to their wheel, roughly


@dataclasses.dataclass
class Gathered:
    """Where the wheels are.

    Attributes
    ----------
    wheels : list of str
        Their file names in the cache there, when all have been sent.
    to_send : list of (str, Installed or str)
        Those that have to be sent.
    size : int
        Of what is to be installed, in bytes, as far as it is known.
    cached, fetched : int
        How many were there, and how many have come from an index there.
    """

    wheels: list[str] = dataclasses.field(default_factory=list)
    to_send: list[Wheel] = dataclasses.field(default_factory=list)
    size: int = 0
    cached: int = 0
    fetched: int = 0

    @property
    def sending_text(self) -> str:
        """How much there is to send, in words."""
        total = sum(
            size(one) // _SHRINKS if isinstance(one, Installed) else os.path.getsize(one) for _, one in self.to_send
        )
        return f"about {max(1, round(total / 1e6)):,} MB"


class Gathering:
    """Finds a source for everything that is needed.

    Parameters
    ----------
    site : Site
        The machine.
    home, python : str
        The directory of environments, and the Python there.
    facts : dict
        What it says of itself: see `offload.environments.payload.facts`.
    say : callable
        Is told each step.
    """

    def __init__(self, site: Site, home: str, python: str, facts: dict[str, Any], say: Callable[[str], None]) -> None:
        self._site, self._home, self._python, self._facts, self._say = site, home, python, facts, say
        self._platform = Platform(facts)
        self._there: list[str] = facts["wheels"]

    @contextmanager
    def sources(self, wanted: tuple[Wanted, ...], pip: Wheel | None) -> Iterator[Gathered]:
        """Give where everything comes from. Within the block, files that are to be sent exist here.

        Raises
        ------
        OffloadError
            If something cannot be had, each named with the reason.
        """
        found = Gathered()
        missing: list[Wanted] = []
        for one in wanted:
            wheel = self._cached(one)
            found.size += size(one.local) if one.local is not None else 0
            if wheel is None:
                missing.append(one)
            else:
                found.wheels.append(wheel)
                found.cached += 1
        missing = self._from_index(missing, pip, found)
        with tempfile.TemporaryDirectory(prefix="offload-wheels-") as folder:
            elsewhere = []
            for one in missing:
                name = wheel_name(one.local) if one.local is not None and one.local.portable else None
                if name is None or not self._platform.fits(name):
                    elsewhere.append(one)
                else:
                    assert one.local is not None
                    found.wheels.append(name)
                    found.to_send.append((name, one.local))
            if elsewhere:
                self._downloaded(elsewhere, folder, found)
            yield found

    def _cached(self, one: Wanted) -> str | None:
        if one.is_released:
            fitting = filter(self._platform.fits, wheel_of(one.name, one.version, self._there))
            return next(fitting, None)
        assert one.local is not None
        name = wheel_name(one.local)
        return name if name in self._there and self._platform.fits(name) else None

    def _from_index(self, missing: list[Wanted], pip: Wheel | None, found: Gathered) -> list[Wanted]:
        """Have the other machine download what an index has; return what is still missing."""
        asked = sorted((one for one in missing if one.is_released), key=_size)
        packable = sum(_size(one) for one in asked)
        if not asked or (packable < INDEX_FROM and all(one.local is not None for one in asked)):
            return missing
        wheel = self._pip(pip)
        if wheel is None and not self._facts["pip"]:
            self._say("there is no pip, so no index is asked there")
            return missing
        self._say(f"asking an index there for {counted(len(asked), 'wheel')}")
        request = {"do": "fetch", "home": self._home, "wanted": [str(one) for one in asked], "pip": wheel}
        answer = ask(self._site, self._python, request, FETCH_SECONDS)
        self._there = [*self._there, *answer["fetched"]]
        if answer["reason"] is not None:
            self._say(f"an index there had {len(answer['fetched'])} of them: {answer['reason']}")
        left = []
        for one in missing:
            name = self._cached(one)
            if name is None:
                left.append(one)
            else:
                found.wheels.append(name)
                found.fetched += 1
        return left

    def _pip(self, pip: Wheel | None) -> str | None:
        """Return the wheel of pip to use there, brought there if it has to be; None for the pip that is there."""
        if self._facts["pip"] or pip is None:
            return None
        from offload.environments.wheels.send import Sending

        name = pip[0]
        if name not in self._there:
            self._say("sending pip")
            stream = Sending([pip], lambda text: None)
            ask(self._site, self._python, {"do": "take", "home": self._home}, PIP_SECONDS, stream)
            self._there = [*self._there, name]
        return name

    def _downloaded(self, elsewhere: list[Wanted], folder: str, found: Gathered) -> None:
        """Download what is for another platform than this one, to send it."""
        fixed = [one for one in elsewhere if not one.is_released]
        if fixed:
            raise OffloadError(
                f"{_listed(fixed)} cannot be brought to {self._site.name}: built here for "
                f"{_tags_of(fixed[0])}, there is {self._platform}",
                "install it there, and name that Python: python:/path/of/python",
            )
        self._say(f"downloading {counted(len(elsewhere), 'wheel')} for {self._platform} here")
        reason = download([str(one) for one in elsewhere], self._platform, folder)
        names = os.listdir(folder)
        lacking = []
        for one in elsewhere:
            fitting = [name for name in wheel_of(one.name, one.version, names) if self._platform.fits(name)]
            if fitting:
                found.wheels.append(fitting[0])
                found.to_send.append((fitting[0], os.path.join(folder, fitting[0])))
            else:
                lacking.append(one)
        if lacking:
            why = "not installed here" if lacking[0].local is None else f"here for {_tags_of(lacking[0])}"
            raise OffloadError(
                f"{_listed(lacking)} cannot be had for {self._site.name} ({self._platform}): {why}, "
                f"and no index gave it: {reason}",
                "install it here as it is needed there, or name a Python there that has it: python:/path/of/python",
            )


def _size(one: Wanted) -> int:
    return size(one.local) if one.local is not None else 0


def _listed(some: list[Wanted]) -> str:
    names = [f"{one.name} {one.version}" for one in some]
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:5])} and {len(names) - 5} more"


def _tags_of(one: Wanted) -> str:
    assert one.local is not None
    return wheel_name(one.local).removesuffix(".whl").rpartition("-")[2]
