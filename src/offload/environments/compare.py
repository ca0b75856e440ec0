"""Compares the distributions of a Python there with those here, in the words of the workers' own check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offload.environments.choice import is_image, parse_choice
from offload.environments.containers import Mounted, find, is_contained
from offload.environments.installed import TOOLS, Installed, installed
from offload.environments.pins import canonical
from offload.environments.probe import look, no_python
from offload.environments.rpc import ask
from offload.environments.wanted import needed_here
from offload.errors import EnvironmentDiffersError, NotFoundError, OffloadError
from offload.hosts.base import Site
from offload.identity.environment import version_differs

SECONDS = 90.0


def distributions_there(site: Site, python: str) -> tuple[dict[str, str], list[str]]:
    """Return what a Python there has: versions by name, and the directories that they are in."""
    inner = None if is_contained(python) else python  # in its container it goes by another path
    answer: dict[str, Any] = ask(site, python, {"do": "names", "python": inner}, SECONDS)
    if "failed" in answer:
        raise OffloadError(f"{python} on {site.name} cannot say what it has: {answer['failed']}")
    return {canonical(name): version for name, version in answer["distributions"].items()}, answer["sites"]


def differences(site: Site, choice: str, home: str = "") -> tuple[str, list[str]]:
    """Return which Python there is meant, and what of all that is installed here differs there, in words.

    Parameters
    ----------
    site : Site
        The machine.
    choice : str
        ``check``, ``check:/path``, ``conda:NAME``, ``python:/path`` or a path, ``container:IMAGE``; ``sync`` for the
        environment that was made there.
    home : str
        The directory there that keeps environments; empty for the usual one.
    """
    kind, path, conda = parse_choice(choice)
    if kind == "sync":
        wanted = needed_here()
        looked = look(site, home, name=wanted.name(), chosen=path)
        if looked.ready is None:
            raise NotFoundError(
                f"{site.name} has no environment like the one here yet", f"offload environment build {site.name}"
            )
        return f"{looked.ready}/bin/python", list(wanted.differences)
    if is_image(choice):
        image = find(site, choice, Mounted())
        there, _ = distributions_there(site, image.bare)
        return f"{image.path} in {conda}", list(compare(installed(), there).values())
    looked = look(site, home, chosen=path, conda=conda)
    if looked.python is None:
        raise no_python(site, looked, path, conda)
    there, _ = distributions_there(site, looked.python)
    return looked.python, list(compare(installed(), there).values())


def refused(site: Site, python: str, needed: Mapping[str, str], has_offload: bool) -> EnvironmentDiffersError:
    """Return the error that names what a Python there lacks of what offload itself needs."""
    lines = list(needed.values())
    if not has_offload:
        return EnvironmentDiffersError(
            f"{python} on {site.name} has no offload, and {len(lines) - 1} distributions that it requires differ",
            f'name another Python there, or let offload bring it: environment = "sync", or "python:{python}"',
        )
    return EnvironmentDiffersError(
        f"{python} on {site.name} differs in what offload requires: {'; '.join(lines)}",
        'install the same versions there, or let offload bring them: environment = "sync"',
    )


def compare(here: Sequence[Installed], there: Mapping[str, str]) -> dict[str, str]:
    """Return what differs: a line in words for each distribution, by its name.

    Tools that install others do not count.
    """
    found = {}
    for one in here:
        version = there.get(one.key)
        if version != one.version and one.key not in TOOLS:
            found[one.key] = version_differs(one.name, one.version, version or "not installed")
    return found
