"""Global values that cannot be pickled, and what counts of them where code reaches them.

What guards, tells or runs things has no part in a result. References that are weak, or one for each thread or context,
count by what they lead to now. All else that cannot be pickled is refused: open files and connections, generators.
"""

from __future__ import annotations

import gc
import sys
from contextvars import ContextVar
from threading import local
from types import CellType, CodeType, ModuleType
from weakref import ReferenceType, WeakKeyDictionary, WeakMethod, WeakSet, WeakValueDictionary

from offload.errors import EncodeError
from offload.identity.functions.generated_members import without_addresses
from offload.identity.inspection import is_a
from offload.identity.libraries.distributions import PROJECT, STANDARD, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


SCANNER = ("strict", "object_hook", "object_pairs_hook", "parse_float", "parse_int", "parse_constant")
"""What a scanner of :mod:`json` knows."""

# The same classes in C, and in Python.
_WRAPT = ("_wrappers", "wrapt._wrappers", "wrapt.wrappers")


def _keyed(pairs: Any) -> list[list[object]]:
    return [[key, value] for key, value in pairs.items()]


def _variable(variable: Any) -> list[object]:
    try:
        return [variable.name, variable.get()]
    except LookupError:  # it has neither a value here nor a default
        return [variable.name]


def _cell(cell: CellType) -> list[object]:
    from offload.identity.functions.graph_state import cell_contents
    from offload.identity.functions.state_checks import MISSING

    held = cell_contents(cell)
    return [] if held is MISSING else [held]


def _proxy(proxy: Any) -> list[object]:
    """Return what a function wrapper of wrapt calls, and with what."""
    names = ("_self_wrapper", "_self_instance", "_self_binding", "_self_enabled")
    return [proxy.__wrapped__, *(getattr(proxy, name) for name in names)]


def _code(code: CodeType) -> str:
    from offload.identity.functions.bytecode import inspect_code

    return inspect_code(code).digest


def _descriptor(descriptor: Any) -> list[object]:
    """Return what C has put into a class, by its name."""
    return [descriptor.__objclass__, descriptor.__name__]


def _scanner(scanner: Any) -> list[object]:
    """Return what a scanner of :mod:`json` calls."""
    return [getattr(scanner, name) for name in SCANNER]


_OF_SSL = ("protocol", "options", "verify_flags", "verify_mode", "check_hostname", "minimum_version", "maximum_version")
_OF_MSGSPEC = (
    "type",
    "strict",
    "dec_hook",
    "float_hook",
    "ext_hook",
    "enc_hook",
    "order",
    "decimal_format",
    "uuid_format",
)


def _of_msgspec(coder: Any) -> list[object]:
    """Return what a decoder or encoder was made of."""
    return [getattr(coder, name, None) for name in _OF_MSGSPEC]


_NUMBA = {
    "core.registry": "CPUDispatcher",
    "np.ufunc.dufunc": "DUFunc",
    "np.ufunc.gufunc": "GUFunc",
    "core.ccallback": "CFunc",
}


def _compiled(made: Any) -> list[object]:
    """Return what Numba compiles, and how: what it has compiled by now is for the types that it was called with."""
    if type(made).__name__ == "CFunc":
        return [made._pyfunc, str(made._sig)]
    dispatcher: Any = getattr(made, "_dispatcher", made)
    parts = [made.py_func if dispatcher is made else dispatcher.py_func, dispatcher.targetoptions]
    if dispatcher is made:
        return [*parts, dispatcher.locals, [] if made._can_compile else sorted(map(str, made.signatures))]
    fixed = sorted(made.types) if getattr(made, "_frozen", False) else []
    return [*parts, getattr(made, "signature", ""), made.identity, fixed]


_LEADS_TO: dict[tuple[str, str], Callable[[Any], object]] = {
    (ReferenceType.__module__, ReferenceType.__qualname__): lambda r: r(),
    (WeakMethod.__module__, WeakMethod.__qualname__): lambda r: r(),
    (WeakValueDictionary.__module__, WeakValueDictionary.__qualname__): _keyed,
    (WeakKeyDictionary.__module__, WeakKeyDictionary.__qualname__): _keyed,
    (WeakSet.__module__, WeakSet.__qualname__): set,
    (ContextVar.__module__, ContextVar.__qualname__): _variable,
    (CellType.__module__, CellType.__qualname__): _cell,
    (CodeType.__module__, CodeType.__qualname__): _code,
    (local.__module__, local.__qualname__): lambda values: dict(vars(values)),
    ("functools", "KeyWrapper"): gc.get_referents,  # of `cmp_to_key`, which tells nobody what it calls
    ("_struct", "Struct"): lambda struct: struct.format,
    ("builtins", "property"): lambda made: [made.fget, made.fset, made.fdel],
    **{("builtins", f"{kind}_descriptor"): _descriptor for kind in ("getset", "member", "method", "wrapper")},
    ("_json", "Scanner"): _scanner,
    ("msgspec._core", "Factory"): lambda made: made.factory,  # of the default of a field
    ("pydantic._internal._validate_call", "ValidateCallWrapper"): lambda made: [
        *(made.function, made.validate_return, made.config_wrapper.config_dict),
    ],
    ("pydantic.type_adapter", "TypeAdapter"): lambda made: [
        *(made._type, made._config, without_addresses(made.core_schema)),
    ],
    **{(f"msgspec.{form}", c): _of_msgspec for form in ("json", "msgpack") for c in ("Decoder", "Encoder")},
    ("shapely.prepared", "PreparedGeometry"): lambda made: made.context,
    ("ssl", "SSLContext"): lambda made: [  # what comes through it is never recorded; this is what can be read of it
        *(int(getattr(made, name)) for name in _OF_SSL),
        sorted(made.get_ca_certs(binary_form=True)),
    ],
    **{("numba." + module, name): _compiled for module, name in _NUMBA.items()},
    ("Boost.Python", "function"): lambda function: function.__name__,
    **{(m, c): _proxy for m in _WRAPT for c in ("FunctionWrapper", "BoundFunctionWrapper")},
    ("concurrent.futures.thread", "ThreadPoolExecutor"): lambda pool: [pool._initializer, pool._initargs],
    ("concurrent.futures.process", "ProcessPoolExecutor"): lambda pool: [pool._initializer, pool._initargs],
}

_OF_DATABASES = {"Engine", "Connection", "AsyncEngine", "AsyncConnection"}

_BY_NAME = "method_descriptor", "wrapper_descriptor"
"""As an argument, these are pickled by their name."""

WEAK = (ReferenceType, WeakKeyDictionary, WeakSet, WeakValueDictionary)
"""What lets go of what it leads to."""


def library_name(value: Any) -> list[str] | None:
    """Return the module and name under which a library keeps an object of a class of its own, or None.

    What can be neither followed nor encoded, such as a context of mpmath, counts so by the version of its library.
    """
    package = str(type(value).__module__).partition(".")[0]
    if origin(package) in (PROJECT, STANDARD):
        return None
    for name, module in sorted(sys.modules.items()):
        if (name == package or name.startswith(f"{package}.")) and isinstance(module, ModuleType):
            for attribute, found in sorted(vars(module).items()):
                if found is value:
                    return [name, attribute]
    return None


def leads_to(value: Any, reached: bool = True) -> list[object] | None:
    """Return what counts of a value that cannot be pickled, or has other parts in each process, as a list; or None.

    Parameters
    ----------
    value : object
        The value.
    reached : bool
        Whether code reaches it, which knows which one it is; else it is an argument.

    Examples
    --------
    >>> import weakref
    >>> class Thing: pass
    >>> thing = Thing()
    >>> leads_to(weakref.ref(thing))[1] is thing
    True
    >>> leads_to(open) is None
    True
    """
    cls = type(value)
    found = _LEADS_TO.get((cls.__module__, cls.__qualname__))
    if cls.__qualname__ in _OF_DATABASES and cls.__module__.startswith("sqlalchemy."):
        raise EncodeError(f"a {cls.__module__}.{cls.__qualname__} leads to a database, whose content does not count")
    if found is not None and (reached or cls.__qualname__ not in _BY_NAME):
        return [cls.__qualname__, found(value)]
    if cls.__qualname__ == "ufunc" and value.__name__.endswith(" (vectorized)"):  # of `numpy.frompyfunc`
        return [cls.__qualname__, [value.nin, value.nout, gc.get_referents(value)]]
    if is_a(value, local):  # of a class made from it, whose code counts
        return [cls, dict(vars(value))]
    if not reached:
        return None
    if any(value is stream for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        return ["stream"]
    if "django.conf" in sys.modules:
        from offload.identity.libraries.django import declared

        return declared(value)
    return None
