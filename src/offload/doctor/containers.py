"""Checks of what runs containers."""

from __future__ import annotations

from offload.doctor.result import Result, failed, passed
from offload.environments.choice import parse_choice
from offload.environments.containers import find
from offload.errors import OffloadError
from offload.hosts.base import Site


def image(site: Site, choice: str) -> Result:
    """Whether a machine has an image, what runs it, and which Python it has."""
    _, _, name = parse_choice(choice)
    try:
        found = find(site, choice, None)
    except OffloadError as exc:
        return failed("image", exc.message, exc.hint)
    return passed("image", f"{found.version} has {name}, with Python as here: {found.path}")
