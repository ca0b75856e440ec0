"""Canonical encodings of everything that is not a plain built-in value.

In order: types that were registered, arrays and tables, functions, classes and modules, and then any object by what
``copyreg`` says it is made of (as pickle does), each part encoded canonically. So equal objects give equal bytes
although pickle's own bytes would differ with shared references. Only what refuses all of these is an error.

Classes of the project count by all that they reach: an argument whose method was edited is another argument.
"""

from __future__ import annotations

import copyreg
import importlib
import sys
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType

from offload.errors import DecodeError, EncodeError, OutputError
from offload.identity.functions.constructors import has_beginning, write_with_beginning
from offload.identity.functions.holders import called, give_qualname, made_by_another_name
from offload.identity.functions.unpicklable import WEAK, leads_to
from offload.identity.inspection import attribute, attributes, is_a, runs_code
from offload.identity.libraries.distributions import PROJECT, STANDARD, origin
from offload.identity.references import (
    bound_method,
    curried,
    find,
    find_global,
    global_generator,
    is_silent,
    module_of,
    named_objects,
    reference_name,
    standing,
)
from offload.identity.values import cbor as tags
from offload.identity.values import encode as encoding
from offload.identity.values import exceptions, hidden_state, replaced_classes
from offload.identity.values.globals import is_plain
from offload.identity.values.hidden_state import NEWOBJ, assigned, comes_back, complete, is_held, left_out, set_state
from offload.identity.values.lazy_files import sources
from offload.identity.values.unordered import in_one_order, state_in_one_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from offload.identity.references import Names
    from offload.identity.values.decode import Decoder
    from offload.identity.values.encode import Encoder
    from offload.identity.values.globals import Pieces

_BY_TYPE: dict[type, tuple[str, Callable[[Any], object]]] = {}
_BY_NAME: dict[str, Callable[[Any], object]] = {}
# How values of a type lie in memory, which does not count, and how results are laid so again.
_LAYOUTS: dict[str, tuple[Callable[[Any], object], Callable[[Any, Any], object]]] = {}
# The types of these packages have encodings of their own, in the module on the right.
_PACKAGES = {
    **dict.fromkeys(("numpy", "numpy.ma", "scipy.sparse"), "arrays"),
    **dict.fromkeys(("pandas", "pyarrow", "polars"), "tables"),
    "rdkit.Chem": "molecules",
    "mpmath": "values.mpmath_contexts",
    "ctypes": "foreign",
}


def register(
    cls: type, *, encode: Callable[[Any], object], decode: Callable[[Any], object], name: str | None = None
) -> None:
    """Give a type an encoding of its own.

    Parameters
    ----------
    cls : type
        The exact type; subclasses need their own.
    encode : callable
        Takes an instance and returns a value that has an encoding: plain values, bytes, arrays.
    decode : callable
        Takes what `encode` returned and gives the instance back.
    name : str, optional
        The name in the encoding. The default is ``module.qualname``; give one to be free to move the class.

    Examples
    --------
    >>> import ipaddress, offload
    >>> offload.register(ipaddress.IPv4Address, encode=int, decode=ipaddress.IPv4Address)
    """
    name = name or f"{cls.__module__}.{cls.__qualname__}"
    _BY_TYPE[cls] = (name, encode)
    _BY_NAME[name] = decode


def register_layout(name: str, look: Callable[[Any], object], lay: Callable[[Any, Any], object]) -> None:
    """Have the results of a registered type come back as they lay in memory.

    Parameters
    ----------
    name : str
        What the type was registered as.
    look : callable
        Takes an instance and tells how it lies, or None where that is as usual.
    lay : callable
        Takes an instance that was decoded, and what `look` has told, and gives one that lies so.
    """
    _LAYOUTS[name] = look, lay


def is_registered(cls: type) -> bool:
    """Tell whether a type has an encoding of its own."""
    _install(cls.__module__)
    return cls in _BY_TYPE


def write_object(encoder: Encoder, value: Any) -> None:
    """Write any value that is not a plain built-in one."""
    cls = type(value)
    if cls in encoder.beginnings:
        write_with_beginning(encoder, value, encoder.beginnings[cls])
        return
    if encoder.laid and str(cls.__module__).partition(".")[0] == "pandas":  # which lays its arrays itself
        encoder.laid = False
        write_object(encoder, value)
        encoder.laid = True
        return
    if cls.__qualname__ == "RandomState" and encoder.depth and (place := global_generator(value)) is not None:
        _write_parts(encoder, value, (find_global, place, *[None] * 5))
        return
    registered = _BY_TYPE.get(cls)
    if registered is None:
        _install(cls.__module__)
        registered = _BY_TYPE.get(cls.__base__ or cls if cls.__name__ == "_FuncPtr" else cls)  # one for each library
    if registered is not None:
        _note(encoder, cls.__module__)
        encoder.opaque()
        name, encode = registered
        if encoder.exact and (
            name.startswith("offload.") or not encode.__module__.startswith(("offload.", "builtins"))
        ):
            encoder.exact = False
        encoder.enter(value)
        encoder.tag(tags.OBJECT)
        layout = _LAYOUTS[name][0](value) if encoder.laid and name in _LAYOUTS else None
        encoder.array(2 if layout is None else 3)
        encoder.write(name)
        encoder.write(encode(value))
        if layout is not None:
            encoder.write(layout)
        encoder.leave(value)
    elif is_a(value, type):
        _write_reference(encoder, tags.CLASS, value)
    elif cls is FunctionType or cls is BuiltinFunctionType:
        _write_reference(encoder, tags.FUNCTION, value)
    elif is_a(value, ModuleType):
        _write_reference(encoder, tags.MODULE, value)
    elif cls is MethodType:
        _write_parts(encoder, value, (bound_method, (value.__func__, value.__self__), *[None] * 5))
    elif encoder.refer is not None and is_silent(cls):
        _write_reference(encoder, tags.CLASS, cls)
    elif not encoder.portable and (held := leads_to(value, encoder.refer is not None)) is not None:
        encoder.opaque()
        encoder.enter(value)
        encoder.tag(tags.OBJECT)
        (encoder.write_unnoted if issubclass(cls, WEAK) else encoder.write)(held)
        encoder.leave(value)
    elif encoder.pieces is not None and encoder.names_pieces:
        _write_piece(encoder, value, encoder.pieces)
    elif has_beginning(encoder, cls):
        write_with_beginning(encoder, value, encoder.beginnings[cls])
    else:
        _write_reduced(encoder, value)


def _write_piece(encoder: Encoder, value: Any, pieces: Pieces) -> None:
    """Write an object as the checksum of what it is written as, and that only once."""
    checksum = pieces.written(value)
    if checksum is None:
        chunks, encoder.chunks = encoder.chunks, []
        opaque, pieces.opaque = pieces.opaque, False
        _write_reduced(encoder, value)
        checksum = sha256(b"".join(encoder.chunks)).digest()
        pieces.remember(value, checksum, pieces.opaque)
        pieces.opaque |= opaque
        encoder.chunks = chunks
    encoder.tag(tags.OBJECT)
    encoder.write(checksum)


def _write_reduced(encoder: Encoder, value: Any) -> None:
    parts = reduced(value)
    if not encoder.portable:
        from offload.identity.values.computed_attributes import without_filled, without_numbers

        parts = without_filled(value, parts) if encoder.skips_filled else parts
    if parts[0] is find_global:
        _note(encoder, parts[1][0])
    elif not encoder.portable and (read := sources(value, parts)):
        encoder.opaque()
        encoder.tag(tags.OBJECT)
        encoder.array(len(read) + 1)
        for file in read:
            encoder.write(file)
    if encoder.portable:
        if encoder.exact is not None and not (parts[6] is None and comes_back(type(value))):
            own = origin(type(value).__module__) == PROJECT
            encoder.exact = None if not own and hasattr(type(value), "__setstate__") else False
        name = name_of(encoder.names, value)
        if name is not None:
            encoder.tag(tags.REDUCED)
            encoder.array(2)
            encoder.write(standing)
            encoder.tag(tags.TUPLE)
            encoder.array(2)
            encoder.write(name)
    elif type(value) is object and encoder.refer is None:  # it is nothing but itself
        name = named_objects().get(id(value))
        parts = parts if name is None else (*parts[:6], ({"": name}, {}))
    if encoder.pieces is not None:
        encoder.pieces.note_object(value, reduced, parts)
    _write_parts(encoder, value, parts if encoder.portable else without_numbers(value, parts))


def name_of(names: Names | None, value: Any) -> str | None:
    """Return the name under which an object is found of which it matters which one it is."""
    equality: Any = type(value).__eq__
    if names is None or equality is not object.__eq__ or is_a(value, BaseException):
        return None
    return names.of(value)


def standing_or_made(name: str, parts: tuple[Any, ...]) -> Any:
    """Return the global of a name where it is the same as what is rebuilt from parts, else that."""
    return standing(name, rebuild(*parts))


def _install(name: str) -> None:
    """Register the types of the package that a dotted name begins with, where it has any."""
    parts = name.split(".", 2) if isinstance(name, str) else ["", ""]  # metaclasses of Cython's have none
    for package in (parts[0], ".".join(parts[:2])):
        if package in _PACKAGES and package not in _loaded:
            importlib.import_module(f"offload.identity.{_PACKAGES[package]}").install(package)
            _loaded.add(package)


_loaded: set[str] = set()
register(MappingProxyType, encode=dict, decode=MappingProxyType, name="types.MappingProxyType")


def _note(encoder: Encoder, module_name: str) -> None:
    if module_name == "decimal":  # its context has a say in all that is computed with such a number
        encoder.modules.add(module_name)
    if origin(module_name) not in (PROJECT, STANDARD):
        encoder.modules.add(module_name.partition(".")[0])


def reduced(value: Any) -> tuple[Any, ...]:
    """Return the six parts that a value is pickled from, the items of lists and dicts listed, and what these leave out.

    Raises
    ------
    EncodeError
        If it cannot be pickled.
    """
    function, arguments, state, items, pairs, setter = (*_reduce(value), None, None, None, None)[:6]
    items = None if items is None else list(items)
    pairs = None if pairs is None else list(pairs)
    parts = function, tuple(arguments), hidden_state.without_notes(value, state), items, pairs, setter
    return *parts, None if function is find_global else left_out(value, parts)


def _reduce(value: Any) -> tuple[Any, ...]:
    """Return the parts that a value is made of, as pickle would ask for them."""
    cls = type(value)
    if encoding.elsewhere is not None and cls.__module__.partition(".")[0] == "pathlib" and hasattr(cls, "__fspath__"):
        value = cls(encoding.elsewhere(str(value)))
    if is_plain(cls) and runs_code(cls):  # `object` would ask the object for the parts that it is made of
        return NEWOBJ, (cls,), attributes(value) or None
    if "enum" in sys.modules and is_a(value, sys.modules["enum"].Enum):
        make: Any = cls.__reduce_ex__
        if make.__module__ == "enum" and make.__qualname__ in ("Enum.__reduce_ex__", "Flag.__reduce_ex__"):
            return cls, (value._value_,)  # releases of Python 3.11 differ in what they give
    if is_a(value, BaseException) and (made := exceptions.parts(value)) is not None:
        return made
    try:
        # Dask has exceptions pickled with their tracebacks, from when it is imported: no part of what they are.
        reducer = None if is_a(value, BaseException) else copyreg.dispatch_table.get(cls)
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
    except EncodeError:  # by a class of offload's own
        raise
    except Exception as exc:  # whatever a class's own __reduce__ or __getstate__ may raise
        raise EncodeError(
            f"a {cls.__module__}.{cls.__qualname__} can be neither encoded nor pickled: {exc}",
            "pass what it is made from (of what was opened, an offload.File), or give its type an encoding with "
            "offload.register",
        ) from exc
    if isinstance(reduced, str):  # a global, by its name
        module = attribute(value, "__module__") or module_of(value, reduced)
        counted = (cls, attributes(value)) if origin(module) == PROJECT else ()
        return find_global, (module, reduced, *counted)
    if cls.__name__ == "curry" and hasattr(value, "keywords"):  # toolz tells the name of the function only
        return curried, (cls, value.func, value.args, value.keywords)
    function, arguments, *rest = reduced
    if is_a(value, BaseException) and rest and not rest[0]:
        rest[0] = None  # whether somebody has asked for its `__dict__` is nothing of it
    rest[:1] = [state_in_one_order(value, state) for state in rest[:1]]
    return function, in_one_order(value, arguments), *rest


def _write_parts(encoder: Encoder, value: Any, parts: tuple[Any, ...]) -> None:
    function, arguments, state, items, pairs, setter, rest = parts
    if state or items is not None or pairs is not None or rest is not None:
        encoder.meet(value)
    encoder.enter(value)
    encoder.tag(tags.REDUCED)
    encoder.array(6 if rest is None else 7)
    for part in (function, arguments, state, items):
        encoder.write(part)
    if pairs is None:
        encoder.write(None)
    else:  # the lists are made here: nothing that can change
        encoder.array(len(pairs))
        for key, item in pairs:
            encoder.array(2)
            encoder.write(key)
            encoder.write(item)
    encoder.write(setter)
    if rest is not None:
        encoder.write(rest)
    encoder.leave(value)


def _write_reference(encoder: Encoder, tag: int, value: Any) -> None:
    if encoder.portable and tag != tags.MODULE and (parts := made_by_another_name(value)) is not None:
        encoder.exact = encoder.exact and False
        _write_parts(encoder, value, (*parts, *[None] * 5))
        return
    encoder.tag(tag)
    if encoder.refer is not None:
        encoder.write(encoder.refer(value))
        return
    if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType | None):
        # A method of a built-in object or class, such as `bytes.fromhex`.
        encoder.array(1)
        encoder.write([value.__self__, value.__name__])
        return
    name, module = reference_name(value)
    digest, payload = None, None
    if origin(module) == PROJECT or (tag != tags.MODULE and find(name) is not value):
        from offload.identity.functions.identify import closure

        graph = closure(value)
        digest = graph.checksum
        encoder.modules |= graph.modules
        if encoder.portable and tag != tags.MODULE and find(name, load=origin(module) != PROJECT) is not value:
            payload = by_value(value)
            encoder.exact = encoder.exact and False
    else:
        _note(encoder, module)
    more = assigned(value) if digest is not None and tag == tags.FUNCTION and value.__dict__ else None
    encoder.array(4 if more else 3)
    encoder.write(name)
    encoder.write(digest)
    encoder.write(payload)
    if more:
        encoder.enter(value)
        encoder.write(more)
        encoder.leave(value)


def by_value(value: Any) -> bytes:
    """Return a class or function pickled with its code.

    Raises
    ------
    EncodeError
        If it holds what cannot be pickled.
    """
    from offload.identity.values.pickled_code import dumps

    try:
        return dumps(value)
    except Exception as exc:  # whatever the parts of a closure may raise
        raise EncodeError(f"{value.__qualname__} cannot be pickled: {exc}") from exc


def read_object(decoder: Decoder, tag: int) -> Any:
    """Read the value behind a tag that stands for an object.

    Raises
    ------
    DecodeError
        If the type or function is not to be found here, or refuses to be rebuilt.
    """
    if tag == tags.OBJECT:
        more, name = decoder.length() - 2, decoder.read()
        state = decoder.views() if name == "numpy.ndarray" else decoder.read()
        try:
            _install(name)
        except ImportError as exc:
            raise DecodeError(f"the value needs {exc.name}, which is not installed here") from exc
        if name not in _BY_NAME:
            raise DecodeError(f"no decoding is registered for {name}", "import the module that registers it")
        try:
            value = _BY_NAME[name](state)
            return _LAYOUTS[name][1](value, *(decoder.read() for _ in range(more))) if more else value
        except (DecodeError, OutputError):
            raise
        except Exception as exc:  # whatever a registered decoding may raise
            raise DecodeError(f"a {name} cannot be rebuilt: {type(exc).__name__}: {exc}") from exc
    if tag == tags.REDUCED:
        return rebuild(*decoder.items())
    if tag in (tags.CLASS, tags.FUNCTION, tags.MODULE):
        parts = decoder.items()
        if len(parts) == 1:
            return getattr(*parts[0])
        name, digest, payload = parts[:3]
        known = decoder.located.get((name, digest))
        if known is None:
            known = decoder.located[name, digest] = located(name, digest, payload)
        return known
    if tag == tags.PICKLE:
        return _unpickled(decoder.bytes())
    raise DecodeError(f"not a canonical encoding: tag {tag}")


def located(name: str, digest: str | None, payload: bytes | None) -> Any:
    """Return the class, function or module of a name; the payload's, where nothing of the kind has that name here.

    One that is another by now than when its name was written is taken all the same, as a call would take it, and noted.

    Raises
    ------
    DecodeError
        If there is neither.
    """
    found = find(name, load=payload is None)
    if payload is not None and replaced_classes.goes_by_code() and not _is_same(found, digest):
        found = None
    if payload is not None and not isinstance(found, type | FunctionType):
        found = called(name, digest)
        if found is None:
            found = _unpickled(payload)
            if isinstance(found, type) and digest is not None:
                give_qualname(found, name.partition(":")[2])
        return found
    if found is None:
        raise DecodeError(f"{name} is not here", "make its module importable, or ask for the result where it was made")
    if replaced_classes.is_asked() and digest is not None and not _is_same(found, digest):
        replaced_classes.note(name)
    return found


def _is_same(found: Any, digest: str | None) -> bool:
    from offload.identity.functions.identify import is_same

    return is_same(found, digest)


def _unpickled(data: Any) -> Any:
    from offload.identity.functions.holders import loads

    try:
        return loads(data)
    except Exception as exc:  # whatever the classes in it may raise
        raise DecodeError(f"a pickled value cannot be loaded here: {type(exc).__name__}: {exc}") from exc


def rebuild(
    function: Any,
    arguments: Any,
    state: Any = None,
    items: Any = None,
    pairs: Any = None,
    setter: Any = None,
    rest: Any = None,
) -> Any:
    """Make an object from the parts that ``__reduce_ex__`` told, and what these left out.

    Raises
    ------
    DecodeError
        If it refuses.
    """
    try:
        value = function(*arguments)
        held = rest is not None and is_held(value)
        if state is not None:
            if setter is not None:
                setter(value, state)
            else:
                set_state(value, state)
        for item in items or ():
            value.append(item)
        for key, item in pairs or ():
            value[key] = item
        if rest is not None:
            complete(value, held, (function, arguments, state), rest)
    except Exception as exc:  # whatever a class may raise when it is rebuilt
        raise DecodeError(f"a value cannot be rebuilt: {type(exc).__name__}: {exc}") from exc
    return value
