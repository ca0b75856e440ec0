"""Values in short, for people: they stand in the history, and `why` shows them; none of it counts."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType

from offload.identity.inspection import attribute, attributes, found_in, is_a, runs_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.identity.functions.graph import Node

SUMMARY_LENGTH = 120

_PRINTED = {"datetime", "decimal", "fractions", "pathlib", "uuid", "zoneinfo"}


def summary(value: object) -> str:
    """Return a short text for people that costs little, however large the value is."""
    try:
        text = _summary(value)
    except Exception:  # whatever the value's class may raise, and integers too long to be printed
        return ""
    return text if len(text) <= SUMMARY_LENGTH else text[:SUMMARY_LENGTH] + "..."


def _summary(value: Any) -> str:
    if type(value) in (str, bytes) and len(value) > SUMMARY_LENGTH:
        return repr(value[: SUMMARY_LENGTH + 1])
    if value is None or type(value) in (bool, int, float, complex, str, bytes):
        return repr(value)
    if type(value) in (list, tuple, dict, set, frozenset):
        return _number(value) if len(value) > 8 else _few(value)
    if issubclass(type(value), (list, tuple, dict, set, frozenset)):
        return _number(value)
    shape = attribute(value, "shape")
    if type(shape) is tuple:
        kind = attribute(value, "dtype", type(value).__name__)
        scalar = not shape and not runs_code(type(value)) and hasattr(value, "item")
        return f"{kind}({value.item()!r})" if scalar else f"{kind}, shape {shape}"
    if type(value).__module__ == "offload.identity.files":
        return str(value.name)
    if is_a(value, type) or type(value) in (FunctionType, BuiltinFunctionType):
        return f"{value.__module__}:{value.__qualname__}"
    if type(value).__module__ in _PRINTED or type(value) is range:
        return repr(value)
    if hasattr(type(value), "__members__"):  # an enumeration
        return f"{type(value).__qualname__}.{value.name}"
    return _made_of(value)


def _number(value: Any) -> str:
    return f"{len(value)} item" + ("s" if len(value) != 1 else "")


def _few(value: Any) -> str:
    """Return the repr of a small container of plain values, or how many there are."""
    items = [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)
    return repr(value) if all(map(_is_plain, items)) else _number(value)


def _is_plain(value: object) -> bool:
    return type(value) in (bool, int, float, str, type(None)) and (type(value) is not str or len(value) < 80)


def _made_of(value: Any) -> str:
    """Return the type of an object, and its attributes if these are few and plain; nothing of its own is called."""
    held = attributes(value)
    inside = "..."
    if held is not None and len(held) <= 8 and all(map(_is_plain, held.values())):
        inside = ", ".join(f"{name}={one!r}" for name, one in held.items())
    return f"{type(value).__qualname__}({inside})"


def shown_reads(node: Node) -> dict[str, str]:
    """Return in short what the names stand for that a function reads, as far as they stand for values."""
    function: Any = node.subject
    if node.kind != "function":
        return {}
    reads: Any = node.content[3]
    found = {}
    for kind, name, what in reads:
        if not (isinstance(what, list) and what[:1] == ["value"] and len(what) == 3 and _is_digest(what[2])):
            continue  # plain values stand in the content themselves
        first, *rest = name.split(".")
        try:
            if kind == "free":
                value = function.__closure__[function.__code__.co_freevars.index(first)].cell_contents
            else:
                value = function.__globals__[first]
            for part in rest:
                value = found_in(value, part)
        except Exception:  # it is found in another way, or a property raises
            continue
        text = summary(value)
        if text:
            found[name] = text
    return found


def _is_digest(value: object) -> bool:
    return type(value) is str and len(value) == 64 and set(value) <= set("0123456789abcdef")
