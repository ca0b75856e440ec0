"""What Python and its libraries keep for a whole process, which calls may set, and which is put back after each call.

What takes its time to look at is looked at where the code of a function names what changes it.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import warnings
from _signal import pthread_sigmask  # type: ignore[import-not-found]  # that of `signal` makes enumerations of all
from contextlib import suppress
from typing import Any, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_STREAMS = 0, 1, 2
_LIMITS = "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_STACK"
_LOGGING = "setLevel", "addHandler", "removeHandler", "basicConfig", "dictConfig", "fileConfig", "disable", "propagate"
_SEEDS = "seed", "setstate", "set_state"


class State(NamedTuple):
    """Something that a process has once.

    Attributes
    ----------
    read : callable
        Gives what it is, in a form that can be compared.
    put : callable
        Makes it what `read` gave.
    names : tuple of str
        It is looked at only where code has a name with one of these in it; none: always.
    module : str
        It is there only when this module is loaded.
    default : object
        What it is when the module has just been loaded.
    sets : tuple of str
        Modules of libraries change it, too, as they are imported: then it stays so, unless code has a name with one of
        these in it.
    lasts : bool
        Whether it may be that it cannot be put back.
    """

    read: Callable[[], Any]
    put: Callable[[Any], object]
    names: tuple[str, ...] = ()
    module: str = "sys"
    default: Any = None
    sets: tuple[str, ...] = ()
    lasts: bool = False


class Kept:
    """How things are, to be put back.

    Parameters
    ----------
    names : collection of str
        All that the code of the calls names.
    """

    __slots__ = ("_before", "_modules", "_names", "_states")

    def __init__(self, names: Collection[str]) -> None:
        self._names = "\n".join(names)
        self._states = [state for state in _STATES if not state.names or self._named(state.names)]
        self._before = [state.read() if state.module in sys.modules else state.default for state in self._states]
        self._modules = len(sys.modules)

    def _named(self, some: Collection[str]) -> bool:
        return any(one in self._names for one in some)

    def put_back(self) -> bool:
        """Make things as they were, but for what modules have changed that were imported meanwhile.

        Returns
        -------
        bool
            Whether they are.
        """
        done, grown = True, len(sys.modules) != self._modules
        for number, state in enumerate(self._states):
            if state.module not in sys.modules:
                continue
            now, before = state.read(), self._before[number]
            if now is before or now == before:
                continue
            if grown and state.sets and not self._named(state.sets):
                self._before[number] = now
            else:
                state.put(before)
                done = done and (not state.lasts or state.read() == before)
        self._modules = len(sys.modules)
        return done


def _filters() -> list[Any]:
    return list(warnings.filters)


def _put_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _put_collector(before: tuple[bool, tuple[int, int, int]]) -> None:
    (gc.enable if before[0] else gc.disable)()
    gc.set_threshold(*before[1])


def _root() -> tuple[Any, ...]:
    root = logging.root
    return root.level, list(root.handlers), root.manager.disable


def _put_root(before: tuple[Any, ...]) -> None:
    logging.root.setLevel(before[0])
    logging.root.handlers[:] = before[1]
    logging.disable(before[2])


def _loggers() -> dict[str, Any]:
    loggers = dict(logging.root.manager.loggerDict)
    return {
        name: (one.level, list(one.handlers), list(one.filters), one.propagate, one.disabled)
        for name, one in loggers.items()
        if isinstance(one, logging.Logger)
    }


def _put_loggers(before: dict[str, Any]) -> None:
    for name in _loggers():
        logger = logging.getLogger(name)
        level, handlers, filters, logger.propagate, logger.disabled = before.get(name, (0, [], [], True, False))
        logger.setLevel(level)
        logger.handlers[:], logger.filters[:] = handlers, filters


def _timers() -> list[bool]:
    timers = signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF
    return [signal.getitimer(timer)[0] > 0 for timer in timers]


def _put_timers(before: list[bool]) -> None:
    for timer, was in zip((signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF), before, strict=True):
        if not was:
            signal.setitimer(timer, 0)


def _processors() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()


def _put_processors(before: set[int]) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, before)


def _limits() -> list[tuple[int, int]]:
    import resource

    return [resource.getrlimit(getattr(resource, name)) for name in _LIMITS]


def _put_limits(before: list[tuple[int, int]]) -> None:
    import resource

    for name, (soft, _) in zip(_LIMITS, before, strict=True):
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]  # nobody may raise that one
        with suppress(ValueError, OSError):
            resource.setrlimit(which, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _generator() -> Any:
    import random

    return random.getstate()


def _put_generator(before: Any) -> None:
    import random

    random.seed() if before is None else random.setstate(before)


class _Generator:
    """The state of NumPy's own generator, in a form that can be compared."""

    def __init__(self) -> None:
        self.state = sys.modules["numpy.random"].get_state()
        name, key, *rest = self.state
        self._shown = name, key.tobytes(), rest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Generator) and self._shown == other._shown

    def __hash__(self) -> int:
        return hash(self._shown[1])


def _put_numpys_generator(before: _Generator | None) -> None:
    generator = sys.modules["numpy.random"]
    generator.seed() if before is None else generator.set_state(before.state)


_streams_kept: dict[int, int] = {}  # other descriptors of what the streams were when the first call began


def _streams() -> list[tuple[int, int] | None]:
    for stream in _STREAMS:
        if stream not in _streams_kept:
            _streams_kept[stream] = os.dup(stream)
    return [_file(stream) for stream in _STREAMS]


def _file(descriptor: int) -> tuple[int, int] | None:
    try:
        about = os.fstat(descriptor)
    except OSError:
        return None
    return about.st_dev, about.st_ino


def _put_streams(before: list[tuple[int, int] | None]) -> None:
    for stream in _STREAMS:
        os.dup2(_streams_kept[stream], stream)


def _put_builtins(before: dict[str, Any]) -> None:
    there = vars(sys.modules["builtins"])
    for name in there.keys() - before.keys():
        del there[name]
    there.update(before)


def _put_priority(before: int) -> None:
    with suppress(PermissionError):  # only root may go back
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _environ() -> dict[bytes, bytes]:
    """Return the environment as C has it: `os.putenv` changes it behind Python's back."""
    from ctypes import CDLL, POINTER, c_char_p

    found: dict[bytes, bytes] = {}
    entries, number = POINTER(c_char_p).in_dll(CDLL(None), "environ"), 0
    while entry := entries[number]:
        name, _, value = entry.partition(b"=")
        found[name] = value
        number += 1
    return found


def _put_environ(before: dict[bytes, bytes]) -> None:
    for name in _environ().keys() - before.keys():
        os.unsetenv(name)
    for name, value in before.items():
        os.putenv(name, value)


_OF_CONTEXTS = "prec", "rounding", "Emin", "Emax", "capitals", "clamp"


def _contexts() -> list[Any]:
    """Return what the contexts of `decimal` are that new ones are made from."""
    made = sys.modules["decimal"]
    contexts = made.DefaultContext, made.BasicContext, made.ExtendedContext
    return [([getattr(one, name) for name in _OF_CONTEXTS], dict(one.traps), dict(one.flags)) for one in contexts]


def _put_contexts(before: list[Any]) -> None:
    made = sys.modules["decimal"]
    for one, (values, traps, flags) in zip(
        (made.DefaultContext, made.BasicContext, made.ExtendedContext), before, strict=True
    ):
        for name, value in zip(_OF_CONTEXTS, values, strict=True):
            setattr(one, name, value)
        one.traps.update(traps)
        one.flags.update(flags)


_FIGURES = "matplotlib._pylab_helpers"


def _put_figures(before: list[int]) -> None:
    """Close the figures that a call has left open: the next one would draw into the last of them."""
    figures = sys.modules[_FIGURES].Gcf
    for number in list(figures.figs):
        if number not in before:
            figures.destroy(number)


def _put_list(of: list[Any], before: list[Any]) -> None:
    of[:] = before


def _put_table(of: dict[Any, Any], before: dict[Any, Any]) -> None:
    of.clear()
    of.update(before)


def _variable(module: str, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Return how to read and to put a variable of a module."""
    return lambda: getattr(sys.modules[module], name), lambda value: setattr(sys.modules[module], name, value)


def _put_name(before: str) -> None:
    threading.current_thread().name = before


def _put_start_method(before: str | None) -> None:
    sys.modules["multiprocessing"].set_start_method(before, force=True)


_STATES = (
    State(_filters, _put_filters, sets=("filterwarnings", "simplefilter", "resetwarnings")),
    State(*_variable("warnings", "showwarning"), sets=("showwarning", "captureWarnings")),
    State(lambda: (gc.isenabled(), gc.get_threshold()), _put_collector),
    State(sys.getrecursionlimit, sys.setrecursionlimit, sets=("setrecursionlimit",)),
    State(sys.getswitchinterval, sys.setswitchinterval),
    State(sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    State(*_variable("sys", "dont_write_bytecode")),
    State(sys.gettrace, sys.settrace),
    State(sys.getprofile, sys.setprofile),
    State(threading.gettrace, threading.settrace),
    State(threading.getprofile, threading.setprofile),
    State(threading.stack_size, threading.stack_size),
    State(
        lambda: sys.modules["socket"].getdefaulttimeout(),
        lambda was: sys.modules["socket"].setdefaulttimeout(was),
        module="socket",
    ),
    State(*_variable("tempfile", "tempdir"), module="tempfile"),
    State(lambda: pthread_sigmask(signal.SIG_BLOCK, ()), lambda was: pthread_sigmask(signal.SIG_SETMASK, was)),
    State(_timers, _put_timers, ("alarm", "setitimer")),
    State(_root, _put_root, sets=_LOGGING),
    State(_loggers, _put_loggers, _LOGGING),
    State(_generator, _put_generator, _SEEDS, "random"),
    State(_Generator, _put_numpys_generator, _SEEDS, "numpy.random"),
    State(lambda: list(sys.modules[_FIGURES].Gcf.figs), _put_figures, module=_FIGURES, default=[]),
    State(*_variable("sys", "excepthook"), sets=("excepthook",)),
    State(*_variable("sys", "unraisablehook"), sets=("unraisablehook",)),
    State(*_variable("threading", "excepthook"), sets=("excepthook",)),
    State(lambda: os.getpriority(os.PRIO_PROCESS, 0), _put_priority, ("nice", "setpriority"), lasts=True),
    State(_environ, _put_environ, ("putenv", "unsetenv")),
    State(_contexts, _put_contexts, ("DefaultContext", "BasicContext", "ExtendedContext"), "decimal"),
    State(lambda: list(sys.meta_path), lambda was: _put_list(sys.meta_path, was), ("meta_path",)),
    State(lambda: list(sys.path_hooks), lambda was: _put_list(sys.path_hooks, was), ("path_hooks",)),
    State(lambda: dict(vars(sys.modules["builtins"])), _put_builtins, ("builtins", "install")),
    State(
        lambda: dict(sys.modules["copyreg"].dispatch_table),
        lambda was: _put_table(sys.modules["copyreg"].dispatch_table, was),
        ("copyreg",),
    ),
    State(_processors, _put_processors, ("affinity",)),
    State(_limits, _put_limits, ("setrlimit",)),
    State(_streams, _put_streams, ("close", "dup2")),
    State(lambda: threading.current_thread().name, _put_name, ("current_thread", "main_thread")),
    State(
        lambda: sys.modules["multiprocessing"].get_start_method(allow_none=True),
        _put_start_method,
        ("set_start_method",),
        "multiprocessing",
    ),
    State(
        lambda: sys.modules["asyncio"].events._event_loop_policy,
        lambda was: sys.modules["asyncio"].set_event_loop_policy(was),
        ("asyncio", "event_loop", "run"),
        "asyncio",
    ),
)
