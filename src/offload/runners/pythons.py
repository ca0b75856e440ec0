"""Which Python runs calls: the worker's own, or the one that they come from, where that is there as well.

Calls need an interpreter of one minor version, and distributions of one version each. Where the worker's own Python
lacks some of that, the Python of who made the calls may be there, under the same path. Nothing is taken on trust: its
runner looks, before it unpickles anything, whether it has what the calls need.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sys
from typing import NamedTuple

from offload._version import __version__
from offload.errors import NotTrustedError
from offload.storage.home import home_path
from offload.transport.environment_error import Machine, OtherEnvironmentError, other_environment
from offload.transport.load import missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.errors import IdentityError
    from offload.identity.environment import Environment
    from offload.transport.batch import Batch

MARK, USED = "environment.json", "used"
"""Files of an environment that was made: the one is there when it is complete, the other changes when it is used."""

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


def variables() -> dict[str, str]:
    """Return the environment of a process of another Python: this one's, without what leads to modules of its own."""
    return {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}


_elsewhere: dict[tuple[Environment, Python], Python] = {}  # what this process lacks, and which Python has it


def chosen(batch: Batch, where: str) -> Python | None:
    """Return the Python that runs a batch; None for that of this process.

    Raises
    ------
    IdentityError
        If none is there that could.
    """
    needed, python = batch.environment._replace(settings=()), batch.python
    if python is None:
        if differences := missing(needed):
            raise other_environment(where, differences)
        return None
    if (known := _elsewhere.get((needed, python))) is not None:
        return known
    differences = missing(needed)
    if not differences:
        return None
    for name in python.made:
        if (made := made_here(name)) is not None:
            return made
    if why_not := python.why_not():
        raise other_environment(where, differences, why_not, machine())
    if why_not := python.why_not_trusted():
        raise other_environment(where, differences, why_not)
    return python._replace(made=())


def made_here(name: str) -> Python | None:
    """Return the Python of an environment that was made on this machine; None where there is none of this name."""
    system = os.uname()
    place = os.path.join(_environments(), f"{name}-{system.sysname}-{system.machine}".replace(" ", "-"))
    if not os.path.isfile(os.path.join(place, MARK)):
        return None
    with contextlib.suppress(OSError):  # a full disk is no reason against it
        os.utime(os.path.join(place, USED))
    sites = tuple(sorted(glob.glob(os.path.join(glob.escape(place), "lib", "python3*", "site-packages"))))
    return Python(os.path.join(place, "bin", "python"), sites, sites[0], (name,)) if sites else None


def machine(tried: str = "") -> Machine:
    """Return what is to be known of this machine in order to make an environment here."""
    base = os.path.abspath(getattr(sys, "_base_executable", sys.executable))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
    return Machine(os.uname().nodename, _environments(), base, version, tried)


def _environments() -> str:
    return os.path.join(home_path(), "environments")


def fits(batch: Batch, python: Python) -> None:
    """Remember that a Python can be started here, for what this process lacks something of."""
    assert batch.python is not None
    _elsewhere[batch.environment._replace(settings=()), batch.python] = python


def unfit(batch: Batch, where: str, python: Python, said: str) -> IdentityError:
    """Return the error that a Python which should have run a batch does not."""
    reason = f"{python.executable} runs no calls there: {said}"
    return other_environment(where, missing(batch.environment), reason, _without(batch, python))


def differs(batch: Batch, python: Python, error: OtherEnvironmentError) -> OtherEnvironmentError:
    """Return the error that a Python which should have run a batch lacks something, too."""
    return OtherEnvironmentError(error.message, error.hint, _without(batch, python))


def _without(batch: Batch, python: Python) -> Machine:
    """Forget a Python that does not do; return the machine, where another one may be made."""
    if batch.python is not None:
        _elsewhere.pop((batch.environment._replace(settings=()), batch.python), None)
    is_there = bool(python.made) and os.path.exists(python.executable)
    return machine(python.made[0] if is_there else "")


_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def this_python() -> Python | None:
    """Return the Python of this process; None for one that is part of another program."""
    if not sys.executable:
        return None
    sites = (os.path.abspath(one) for one in sys.path if os.path.basename(one.rstrip(os.sep)) in _SITES)
    return Python(sys.executable, tuple(dict.fromkeys(sites)), _PACKAGE)
