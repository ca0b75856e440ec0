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

from offload.identity.libraries import installed
from offload.storage.home import home_path
from offload.transport.environment_error import Machine, OtherEnvironmentError, other_environment
from offload.transport.load import missing
from offload.transport.python import Python

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.errors import IdentityError
    from offload.identity.environment import Environment
    from offload.transport.batch import Batch

MARK, USED = "environment.json", "used"
"""Files of an environment that was made: the one is there when it is complete, the other changes when it is used."""

_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")


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
    # Where something was installed since, only a runner can tell what is there now: one that is started for that.
    unsure = bool(needed.distributions) and installed.has_changed()
    if python is None:
        if (differences := missing(needed)) and not unsure:
            raise other_environment(where, differences)
        return None
    if (known := _elsewhere.get((needed, python))) is not None:
        return known
    differences = missing(needed)
    if not differences and not unsure:
        return None
    for name in python.made:
        if (made := made_here(name)) is not None:
            return made
    if unsure and (python.why_not() or python.why_not_trusted()):
        return None
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
