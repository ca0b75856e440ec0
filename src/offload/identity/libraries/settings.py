"""What a process is set to, beside its code: the command line, the time zone, the precision and options of libraries.

A setting counts where what a call reaches depends on it, and where it is not the default; so it makes a difference to
few calls, and none between processes that set nothing. It is part of the environment of a call: a worker sets it
before it runs the call, and what a call sets itself is put back after it, since a recalled call sets nothing.

They go by the module that has them. Of the standard library, a module stands among those that a graph reaches only
where the code asks for its setting.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager

from offload.errors import IdentityError
from offload.identity.libraries.options import LIBRARIES
from offload.identity.values.encode import encode, identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any

    Settings = tuple[tuple[str, bytes], ...]

_MOST_SHOWN = 100


class Setting:
    """Something that a process can be set to.

    Parameters
    ----------
    title : str
        What it is called in messages.
    read : callable
        Gives what it is set to now, in a form that can be compared; None where that is the default.
    set : callable
        Sets it to what `read` gave; with None, to the default.
    default : bool
        Whether processes that set nothing all have the same, so that a worker can go back to it.
    """

    __slots__ = ("default", "read", "set", "title")

    def __init__(self, title: str, read: Callable[[], Any], set: Callable[[Any], None], default: bool = True) -> None:
        self.title = title
        self.read = read
        self.set = set
        self.default = default


def current(names: Iterable[str]) -> Settings:
    """Return what is not the default among some settings, encoded; nothing of modules that are not loaded."""
    found = []
    for name in names:
        if _is_loaded(name) and (value := SETTINGS[name].read()) is not None:
            found.append((name, encode(value)))
    return tuple(found)


def shown_setting(value: bytes) -> str:
    """Return a short text for what something is set to."""
    from offload.identity.values.decode import decode

    text = repr(decode(value))
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def title_of(name: str) -> str:
    """Return what a setting is called in messages."""
    return SETTINGS[name].title if name in SETTINGS else name


def _is_loaded(name: str) -> bool:
    first = name.partition(".")[0]
    if not _is_loading(first):
        return first in sys.modules
    from importlib import import_module

    import_module(first)  # waits for another thread; in the one that is loading it, there is nothing to wait for
    return not _is_loading(first)


def _is_loading(name: str) -> bool:
    return getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False) is True


def settings_of(modules: Collection[str]) -> tuple[str, ...]:
    """Return those modules that have settings which count, in order."""
    return tuple(sorted(SETTINGS.keys() & set(modules)))


def set_to(wanted: Settings, names: Iterable[str]) -> list[str]:
    """Set some settings to what `current` gave; return the titles of those that were something else.

    Raises
    ------
    IdentityError
        If that cannot be done here, as for a function among the options of a library.
    """
    from offload.identity.values.decode import decode

    values, changed = dict(wanted), []
    for name in names:
        if dict(current([name])).get(name) == values.get(name):
            continue
        setting = SETTINGS[name]
        setting.set(decode(values[name]) if name in values else None)
        changed.append(setting.title)
        if dict(current([name])).get(name) != values.get(name):
            raise IdentityError(
                f"{setting.title} cannot be set here to what it is where the call was identified",
                "call the function directly, or set it inside the function",
            )
    return changed


class Kept:
    """What is set when a call begins, to be put back after it: a recalled call sets nothing.

    Parameters
    ----------
    modules : collection of str
        What the call reaches.
    """

    __slots__ = ("_before", "_names")

    def __init__(self, modules: Collection[str]) -> None:
        self._names = settings_of(modules)
        self._before = current(self._names) if self._names else ()

    def put_back(self) -> list[str]:
        """Put back what was changed meanwhile; return what that is called."""
        return set_to(self._before, self._names) if self._names else []


_lock = threading.RLock()  # most settings are the whole process's


@contextmanager
def applied(wanted: Settings) -> Iterator[None]:
    """Have the settings of the calls of a batch within a block, and the defaults of all that are not among them."""
    given = dict(wanted)
    for name in given:
        __import__(name.partition(".")[0])
    names = [name for name, setting in SETTINGS.items() if name in given or (setting.default and _is_loaded(name))]
    before = current(names)
    if before == tuple((name, given[name]) for name in names if name in given):
        yield
        return
    with _lock:
        before = current(names)
        set_to(wanted, names)
        try:
            yield
        finally:
            set_to(before, names)


def asks_for_settings(path: list[str]) -> str | None:
    """Return the module of the standard library by whose setting code goes that uses a name of it, or None.

    Parameters
    ----------
    path : list of str
        The parts of the name, such as ``["sys", "argv"]``.
    """
    first = path[0]
    if first == "sys":
        return _OF_SYS.get(path[1]) if len(path) > 1 else None
    if first in _PARSERS:
        return "sys.arguments"
    if first in ("time", "datetime"):
        return "time" if not _ZONED.isdisjoint(path[1:]) else None
    return first if first in ("decimal", "locale") else None


def asked_by_name(names: set[str], modules: set[str]) -> list[str]:
    """Return the settings by which code goes, by the names in it and the libraries that it reaches."""
    found = []
    if not names.isdisjoint(_PARSING) or not modules.isdisjoint(_PARSERS):
        found.append("sys.arguments")
    for name in ("argv", "orig_argv"):
        if name in names:
            found.append(f"sys.{name}")
    if not names.isdisjoint(_ZONED):
        found.append("time")
    if not names.isdisjoint(_LOCAL):
        found.append("locale")
    if "savefig" in names or not modules.isdisjoint(_DRAWN):
        found.append("matplotlib")
    return found


# Methods, and libraries, that read the command line by themselves.
_PARSING = {"parse_args", "parse_intermixed_args", "parse_known_args", "parse_known_intermixed_args"}
_PARSERS = {
    "absl", "cleo", "click", "cloup", "configargparse", "cyclopts", "defopt", "docopt", "fileinput", "fire", "hydra",
    "jsonargparse", "plac", "pydantic_settings", "rich_click", "simple_parsing", "tap", "typer", "tyro",
}  # fmt: skip
_DRAWN = {"plotnine", "seaborn"}  # with matplotlib
_ZONED = {
    "altzone", "astimezone", "ctime", "daylight", "formatdate", "fromtimestamp", "get_localzone", "localtime", "mktime",
    "strftime", "timestamp", "tzlocal", "tzname", "tzset",
}  # fmt: skip
_LOCAL = {
    "atof", "currency", "delocalize", "format_string", "getlocale", "localeconv", "nl_langinfo", "strcoll", "strftime",
    "strptime", "strxfrm",
}  # fmt: skip


# The standard library ------------------------------------------------------------------------------------


def _set_arguments(value: Any) -> None:
    sys.argv[1:] = value


def _set_argv(value: Any) -> None:
    sys.argv[:] = value


def _set_orig_argv(value: Any) -> None:
    sys.orig_argv[:] = value


def _flags() -> dict[str, Any] | None:
    """Return the flags that are set, and what ``-X`` says."""
    names = [name for name in dir(sys.flags) if name[0] != "_" and name not in ("count", "index", *_ALWAYS)]
    found = {name: int(flag) for name in names if (flag := getattr(sys.flags, name))}
    return {**found, **{f"-X {name}": value for name, value in sys._xoptions.items()}} or None


def _set_flags(value: Any) -> None:
    """Do nothing: they are what the interpreter was started with."""


_ALWAYS = {"hash_randomization", "int_max_str_digits", "n_fields", "n_sequence_fields", "n_unnamed_fields"}
_OF_SYS = {"_xoptions": "sys.flags", "argv": "sys.argv", "flags": "sys.flags", "orig_argv": "sys.orig_argv"}

_ZONES = ("/usr/share/zoneinfo/", "/var/db/timezone/zoneinfo/", "/usr/lib/zoneinfo/")
_UTC = {"", "UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "UTC0", "Zulu"}
_known_zones: dict[tuple[object, ...], list[object]] = {}


def _zone() -> list[object]:
    """Return the name of the local time zone, and those of its times."""
    variable = os.environ.get("TZ")
    key = variable, time.tzname, time.timezone
    if key not in _known_zones:
        name = _zone_name(variable)
        utc = name in _UTC and time.tzname == ("UTC", "UTC")
        _known_zones[key] = ["UTC"] if utc else [name, *time.tzname, time.timezone]
    return _known_zones[key]


def _zone_name(variable: str | None) -> str:
    name = "/etc/localtime" if variable is None else variable.removeprefix(":")
    if not name.startswith("/"):
        return name
    real = os.path.realpath(name)
    for root in _ZONES:
        if real.startswith(root):
            return real.removeprefix(root).removeprefix("posix/")
    try:
        with open(real, "rb") as file:
            return identify(file.read())
    except OSError:
        return ""


def _set_zone(value: Any) -> None:
    os.environ["TZ"] = value[0]
    time.tzset()


_CATEGORIES = ("LC_COLLATE", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")


def _locale() -> list[str] | None:
    locale: Any = sys.modules["locale"]
    found = [locale.setlocale(getattr(locale, category)) for category in _CATEGORIES]
    return None if set(found) <= {"C", "POSIX"} else found


def _set_locale(value: Any) -> None:
    locale: Any = sys.modules["locale"]
    try:
        for category, name in zip(_CATEGORIES, value or ["C"] * len(_CATEGORIES), strict=True):
            locale.setlocale(getattr(locale, category), name)
    except locale.Error as exc:
        raise IdentityError(f"the locale {value} is not to be had here: {exc}") from exc


def _decimal() -> list[object] | None:
    decimal: Any = sys.modules["decimal"]
    context, default = decimal.getcontext(), decimal.DefaultContext
    names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
    found = [getattr(context, name) for name in names]
    if found == [28, "ROUND_HALF_EVEN", -999999, 999999, 1, 0] and context.traps == default.traps:
        return None
    return [found, sorted(signal.__name__ for signal, on in context.traps.items() if on)]


def _set_decimal(value: Any) -> None:
    decimal: Any = sys.modules["decimal"]
    if value is None:
        value = [28, "ROUND_HALF_EVEN", -999999, 999999, 1, 0], ["DivisionByZero", "InvalidOperation", "Overflow"]
    (prec, rounding, low, high, capitals, clamp), traps = value
    signals = [getattr(decimal, name) for name in traps]
    decimal.setcontext(decimal.Context(prec, rounding, low, high, capitals, clamp, traps=signals, flags=[]))


SETTINGS = {
    "decimal": Setting("the context of decimal", _decimal, _set_decimal),
    "locale": Setting("the locale", _locale, _set_locale),
    "sys.argv": Setting("sys.argv", lambda: list(sys.argv), _set_argv, default=False),
    "sys.arguments": Setting("the command line", lambda: list(sys.argv[1:]), _set_arguments, default=False),
    "sys.flags": Setting("the options of the interpreter", _flags, _set_flags, default=False),
    "sys.orig_argv": Setting("sys.orig_argv", lambda: list(sys.orig_argv), _set_orig_argv, default=False),
    "time": Setting("the time zone", _zone, _set_zone, default=False),
    **{name: Setting(title, options.read, options.set) for name, (title, options) in LIBRARIES.items()},
}
