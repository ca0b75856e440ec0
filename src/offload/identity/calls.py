"""The record of a Python call: which function, with which arguments, in which environment.

Calls that mean the same have the same record: arguments by position or by name, defaults given or omitted. An argument
stands in it as the checksum of its encoding, which is also the checksum of the result it may have been, so passing a
value and passing the future of that value are the same.
"""

from __future__ import annotations

from hashlib import sha256
from types import FunctionType

from offload.errors import EncodeError
from offload.identity.libraries.distributions import PROJECT, STANDARD, interpreter, origin
from offload.identity.libraries.settings import current, settings_of
from offload.identity.values.cbor import head
from offload.identity.values.encode import encode, identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from offload.identity.libraries.settings import Settings

    Bound = list[tuple[str, Any]]

RECORD_VERSION = 1
_VARARGS, _VARKEYWORDS = 0x04, 0x08


def bind(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Bound:
    """Return the arguments by the names of their parameters, with defaults filled in.

    Raises
    ------
    TypeError
        If the function cannot be called so; the message is Python's own.
    """
    if type(function) is not FunctionType:
        return _bind_by_signature(function, args, kwargs)
    code = function.__code__
    count, given = code.co_argcount, len(args)
    if given > count and not code.co_flags & _VARARGS:
        return _bind_by_signature(function, args, kwargs)
    names = code.co_varnames
    bound = list(zip(names[:count], args, strict=False))
    used = 0
    if given < count:
        defaults = function.__defaults__ or ()
        first_default = count - len(defaults)
        for index in range(given, count):
            name = names[index]
            if name in kwargs and index >= code.co_posonlyargcount:
                bound.append((name, kwargs[name]))
                used += 1
            elif index >= first_default:
                bound.append((name, defaults[index - first_default]))
            else:
                return _bind_by_signature(function, args, kwargs)
    keyword_defaults = function.__kwdefaults__ or {}
    end = count + code.co_kwonlyargcount
    for name in names[count:end]:
        if name in kwargs:
            bound.append((name, kwargs[name]))
            used += 1
        elif name in keyword_defaults:
            bound.append((name, keyword_defaults[name]))
        else:
            return _bind_by_signature(function, args, kwargs)
    if code.co_flags & _VARARGS:
        bound.append((names[end], tuple(args[count:])))
        end += 1
    if code.co_flags & _VARKEYWORDS:
        known = set(names[code.co_posonlyargcount : count + code.co_kwonlyargcount])
        rest = {name: value for name, value in kwargs.items() if name not in known}
        bound.append((names[end], rest))
        used += len(rest)
    if used != len(kwargs):
        return _bind_by_signature(function, args, kwargs)
    return bound


def _bind_by_signature(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Bound:
    import inspect

    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except ValueError:  # some built-in functions do not tell theirs
        return [("args", tuple(args)), ("kwargs", dict(kwargs))]
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as exc:
        raise TypeError(f"{getattr(function, '__qualname__', type(function).__qualname__)}() {exc}") from None
    bound.apply_defaults()
    return list(bound.arguments.items())


def distributions(modules: Iterable[str]) -> list[str]:
    """Return ``NAME==VERSION`` of the distributions that own the given modules, sorted."""
    return sorted({where for where in map(origin, modules) if where not in (PROJECT, STANDARD)})


# Defaults, flags, counts: the same few values come again and again.
_REPEATING = {type(None), bool, int, str}
_MOST_IDENTIFIED, _LONG = 4096, 100
_identified: dict[tuple[type, Any], str] = {}


class Recorder:
    """Makes the records of one function's calls; what they have in common is encoded once.

    Parameters
    ----------
    function : str
        Checksum of the function's graph.
    modules : set of str
        Modules of installed distributions that it reaches.
    """

    def __init__(self, function: str, modules: set[str]) -> None:
        self.function = function
        self._modules = modules
        self._settings = {frozenset[str](): settings_of(modules)}  # by what the arguments reach besides
        self._prefixes: dict[tuple[frozenset[str], Settings], bytes] = {}
        self._names: dict[str, bytes] = {}

    def _prefix(self, modules: set[str], settings: Settings) -> bytes:
        environment: dict[str, Any] = {"interpreter": interpreter(), "distributions": distributions(modules)}
        if settings:
            environment["settings"] = dict(settings)
        common = {"version": RECORD_VERSION, "kind": "python", "function": self.function, "environment": environment}
        return head(5, len(common) + 1) + encode(common)[1:] + encode("arguments")

    def record(self, bound: Bound) -> tuple[str, bytes, list[tuple[str, str]], frozenset[str]]:
        """Return the transformation's checksum, its record, the checksum of each argument, and the modules it needs.

        These are the modules of installed distributions that the arguments reach, beyond those of the function.

        Raises
        ------
        EncodeError
            If an argument has no encoding; the message names the argument.
        """
        modules: set[str] = set()
        arguments = []
        for name, value in bound:
            arguments.append((name, _identify(name, value, modules)))
        key = frozenset(modules - self._modules) if modules else frozenset()
        having = self._settings.get(key)
        if having is None:
            having = self._settings[key] = settings_of(self._modules | key)
        settings = current(having) if having else ()
        prefix = self._prefixes.get((key, settings))
        if prefix is None:
            prefix = self._prefixes[key, settings] = self._prefix(self._modules | key, settings)
        # What `encode(dict(arguments))` gives, put together from what does not change between calls.
        parts = [prefix, head(5, len(arguments))]
        for name, checksum in arguments:
            encoded = self._names.get(name)
            if encoded is None:
                encoded = self._names[name] = encode(name) + head(3, len(checksum))
            parts += (encoded, checksum.encode())
        data = b"".join(parts)
        return sha256(data).hexdigest(), data, arguments, key


def _identify(name: str, value: Any, modules: set[str]) -> str:
    kind = type(value)
    if kind in _REPEATING and (kind is not str or len(value) < _LONG):
        known = _identified.get((kind, value))
        if known is None:
            if len(_identified) >= _MOST_IDENTIFIED:
                _identified.clear()
            known = _identified[kind, value] = identify(value)
        return known
    try:
        return identify(value, modules)
    except EncodeError as exc:
        hint = exc.hint or "pass something else"
        vouch = f"or, if it never changes a result, let it not count: @offload.task(ignore=[{name!r}])"
        raise EncodeError(f"argument {name}: {exc.message}", f"{hint}; {vouch}") from None
