"""An interpreter that calls were identified by, on its way to workers."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from offload._version import __version__
from offload.errors import NotTrustedError

_SITES = ("site-packages", "dist-packages")

# What is installed is found where those who made the calls find it, in the same order; of directories of projects, each
# batch tells.
_START = f"""
import os, sys
if sys.version_info < (3, 11):
    sys.exit("offload needs Python 3.11 or newer, and this is Python %d.%d" % sys.version_info[:2])
version, package, *sites = sys.argv[4:]
path = [one for one in sys.path if one]
others = [one for one in path if os.path.basename(one) not in {_SITES!r}]
at = next((n for n, one in enumerate(path) if one not in others), len(path))
sys.path[:] = [*others[:at], *sites, *others[at:]]
if package not in sys.path:
    sys.path.insert(0, package)
from offload._version import __version__
if __version__ != version:
    sys.exit("it has offload %s, and the worker has %s" % (__version__, version))
from offload.runners.warden import stand_over
stand_over([*map(int, sys.argv[1:4])])
from offload.runners.process import main
main(*map(int, sys.argv[1:4]), greets=True)
"""


class Python(NamedTuple):
    """An interpreter and what is installed for it.

    Attributes
    ----------
    executable : str
        How it is started, which in a virtual environment decides what it finds.
    sites : tuple of str
        The directories of installed distributions on its import path.
    package : str
        The directory that offload was imported from.
    made : tuple of str
        Names of environments with all that it has, which may have been made on machines that do not have it.
    """

    executable: str
    sites: tuple[str, ...]
    package: str
    made: tuple[str, ...] = ()

    def why_not(self) -> str:
        """Return why it cannot be started here, or nothing."""
        if not os.path.exists(self.executable):
            return f"there is no {self.executable} there"
        if not os.access(self.executable, os.X_OK):
            return f"{self.executable} cannot be executed there"
        return ""

    def why_not_trusted(self) -> str:
        """Return who else could change what is started with it, or nothing."""
        from offload.util.trust import check

        try:
            check(self.executable)
        except NotTrustedError as exc:
            return exc.message
        return ""

    def start(self, flags: list[str], descriptors: tuple[int, ...]) -> list[str]:
        """Return what starts a runner with it."""
        words = [self.executable, *flags, "-c", _START, *map(str, descriptors)]
        return [*words, __version__, self.package, *self.sites]


_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def this_python() -> Python | None:
    """Return the Python of this process; None for one that is part of another program."""
    if not sys.executable:
        return None
    sites = (os.path.abspath(one) for one in sys.path if os.path.basename(one.rstrip(os.sep)) in _SITES)
    return Python(sys.executable, tuple(dict.fromkeys(sites)), _PACKAGE)
