"""Which Python runs calls: the worker's own, or the one that they come from, where that is there as well.

Calls need an interpreter of one minor version, and distributions of one version each. Where the worker's own Python
lacks some of that, the Python of who made the calls may be there, under the same path. Nothing is taken on trust: its
runner looks, before it unpickles anything, whether it has what the calls need.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from offload._version import __version__
from offload.errors import NotTrustedError
from offload.transport.load import missing, other_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.errors import IdentityError
    from offload.identity.environment import Environment
    from offload.transport.batch import Batch

_SITES = ("site-packages", "dist-packages")
_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")

# What is installed is found where those who made the calls find it, in the same order; of directories of projects, each
# batch tells.
_START = f"""
import os, sys
version, package, *sites = sys.argv[4:]
path = [one for one in sys.path if one]
others = [one for one in path if os.path.basename(one) not in {_SITES!r}]
at = next((n for n, one in enumerate(path) if one not in others), len(path))
sys.path[:] = [*others[:at], *sites, *others[at:]]
if package not in sys.path:
    sys.path.insert(0, package)
from offload._version import __version__
if __version__ != version:
    sys.exit(f"it has offload {{__version__}}, and the worker has {{version}}")
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
    """

    executable: str
    sites: tuple[str, ...]
    package: str

    def why_not(self) -> str:
        """Return why it cannot be started here, or nothing."""
        from offload.util.trust import check

        if not os.path.exists(self.executable):
            return f"there is no {self.executable} there"
        if not os.access(self.executable, os.X_OK):
            return f"{self.executable} cannot be executed there"
        try:
            check(self.executable)
        except NotTrustedError as exc:
            return exc.message
        return ""

    def start(self, flags: list[str], descriptors: tuple[int, ...]) -> list[str]:
        """Return what starts a runner with it."""
        words = [self.executable, *flags, "-c", _START, *map(str, descriptors)]
        return [*words, __version__, self.package, *self.sites]


def variables() -> dict[str, str]:
    """Return the environment of a process of another Python: this one's, without what leads to modules of its own."""
    return {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}


_elsewhere: set[tuple[Environment, Python]] = set()  # what this process lacks, and which Python may have it


def chosen(batch: Batch, where: str) -> Python | None:
    """Return the Python that runs a batch; None for that of this process.

    Raises
    ------
    IdentityError
        If none is there that could.
    """
    needed, python = batch.environment._replace(settings=()), batch.python
    if python is not None and (needed, python) in _elsewhere:
        return python
    differences = missing(needed)
    if not differences:
        return None
    why_not = python.why_not() if python is not None else ""
    if python is None or why_not:
        raise other_environment(where, differences, why_not)
    return python


def fits(batch: Batch, python: Python) -> None:
    """Remember that a Python which this process lacks something of can be started here."""
    _elsewhere.add((batch.environment._replace(settings=()), python))


def unfit(batch: Batch, where: str, python: Python, said: str) -> IdentityError:
    """Return the error that a Python which should have run a batch does not."""
    return other_environment(where, missing(batch.environment), f"{python.executable} runs no calls there: {said}")


_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def this_python() -> Python | None:
    """Return the Python of this process; None for one that is part of another program."""
    if not sys.executable:
        return None
    sites = (os.path.abspath(one) for one in sys.path if os.path.basename(one.rstrip(os.sep)) in _SITES)
    return Python(sys.executable, tuple(dict.fromkeys(sites)), _PACKAGE)
