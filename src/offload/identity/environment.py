"""The environment that a computation needs, and what another one lacks of it.

Code of the project travels by value. The interpreter and what is installed do not: they are part of an identity by
their versions alone, so a computation may run only where these are the same.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from offload.identity.libraries.distributions import PROJECT, STANDARD, interpreter, origin
from offload.identity.libraries.settings import current, settings_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Environment(NamedTuple):
    """An interpreter, and what is installed in it, as far as it is needed.

    Attributes
    ----------
    interpreter : str
        Such as ``cpython-3.11``.
    distributions : tuple of (str, str)
        Module, and ``NAME==VERSION`` of the distribution that it comes from.
    settings : tuple of (str, bytes)
        What counts of :mod:`offload.identity.libraries.settings`. Not a condition: who runs the computation sets these.
    """

    interpreter: str
    distributions: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, bytes], ...] = ()


def environment(modules: Iterable[str]) -> Environment:
    """Return the environment that code which reaches these modules has in this process."""
    reached = sorted(modules)
    owners = [(module, origin(module)) for module in reached]
    needed = tuple((m, owner) for m, owner in owners if owner not in (PROJECT, STANDARD))
    return Environment(interpreter(), needed, current(settings_of(reached)))


def lacking(needed: Environment) -> list[str]:
    """Return what differs in this process from an environment that is needed, in words of who needs it: that is *here*.

    Examples
    --------
    >>> lacking(Environment("cpython-2.7", (("nowhere", "nowhere==1.0"),)))
    ['Python 2.7 here, 3... there', 'nowhere 1.0 here, not installed there']
    """
    found = []
    if needed.interpreter != interpreter():
        theirs, ours = (name.replace("cpython-", "").replace("-", " ") for name in (needed.interpreter, interpreter()))
        found.append(f"Python {theirs} here, {ours} there")
    for module, owner in needed.distributions:
        present = origin(module)
        if present == owner:
            continue
        name, _, version = owner.partition("==")
        other, _, other_version = present.partition("==")
        version, other_version = (text.partition("+files.")[0] for text in (version, other_version))
        if other == name:
            there = other_version if other_version != version else f"{version} built from other files"
        elif other_version:
            there = f"{other} {other_version}"
        else:
            there = "one that is no installed distribution" if _can_be_imported(module) else "not installed"
        found.append(version_differs(name, version, there))
    return found


def version_differs(name: str, here: str, there: str) -> str:
    """Return in words that a distribution has one version here, and another one there.

    Examples
    --------
    >>> version_differs("numpy", "2.4.6", "not installed")
    'numpy 2.4.6 here, not installed there'
    """
    return f"{name} {here} here, {there} there"


def _can_be_imported(module: str) -> bool:
    import importlib.util

    try:
        return module in sys.modules or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
