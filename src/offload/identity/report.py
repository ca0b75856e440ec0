"""``offload.identity(f)``: what counts of a function, and as what."""

from __future__ import annotations

from hashlib import sha256

from offload.identity.calls import distributions
from offload.identity.functions.bytecode import inspect_code
from offload.identity.functions.graph import Graph
from offload.identity.functions.parts import DECLARED, named, short
from offload.identity.libraries.distributions import interpreter
from offload.identity.libraries.settings import current, settings_of, shown_setting
from offload.identity.values.encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from offload.identity.functions.graph import Node


class Part:
    """One thing that counts.

    Attributes
    ----------
    kind : str
        ``"function"``, ``"class"``, ``"module"``, ``"variable"`` (of the environment), ``"dependency"``, ``"version"``,
        ``"distribution"``, ``"setting"`` (of the process or a library) or ``"interpreter"``.
    name : str
        ``module:qualname``, or what else it is called.
    value : str
        What it counts as: the first digits of a checksum, a version, a variable's value.
    reads : list of (str, str)
        What its code reads besides, and what that counts as.
    """

    __slots__ = ("kind", "name", "reads", "value")

    def __init__(self, kind: str, name: str, value: str, reads: list[tuple[str, str]]) -> None:
        self.kind = kind
        self.name = name
        self.value = value
        self.reads = reads

    def lines(self) -> list[str]:
        """Return the text for a terminal."""
        return [f"{self.kind} {self.name}: {self.value}", *(f"    {name}: {what}" for name, what in self.reads)]

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {"kind": self.kind, "name": self.name, "value": self.value, "reads": [list(r) for r in self.reads]}


class Identity:
    """What a function or class is identified by.

    Attributes
    ----------
    checksum : str
        The identity of its code, with all that it reaches of the project. The versions of distributions and of the
        interpreter count beside it.
    parts : list of Part
        What counts; what was asked about first.
    unfollowed : list of str
        What its code uses that cannot be followed.
    """

    __slots__ = ("checksum", "parts", "unfollowed")

    def __init__(self, checksum: str, parts: list[Part], unfollowed: list[str]) -> None:
        self.checksum = checksum
        self.parts = parts
        self.unfollowed = unfollowed

    def text(self) -> str:
        """Return the text for a terminal."""
        lines = [f"identity {self.checksum[:16]}"]
        lines += [f"  {line}" for part in self.parts for line in part.lines()]
        lines += [f"  not followed: {what}" for what in self.unfollowed]
        return "\n".join(lines)

    __str__ = __repr__ = text

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        parts = [part.as_dict() for part in self.parts]
        return {"checksum": self.checksum, "parts": parts, "unfollowed": list(self.unfollowed)}


def identity(subject: Callable[..., Any]) -> Identity:
    """Show what a function, task or class is identified by: what counts, and as what.

    Parameters
    ----------
    subject : callable
        A function, a task, a class, or anything else that can be called.

    Returns
    -------
    Identity
        Print it, or look at its ``checksum`` and ``parts``.

    Raises
    ------
    IdentityError
        If it reaches what can be neither followed nor encoded.

    Examples
    --------
    >>> import offload
    >>> names = {"__name__": "rates"}
    >>> exec("RATE = 2; scaled = lambda x: x * RATE", names)
    >>> [part.name for part in offload.identity(names["scaled"]).parts if part.kind == "function"]
    ['rates:<lambda>']
    >>> dict(offload.identity(names["scaled"]).parts[0].reads)
    {'RATE': '2'}
    """
    graph = Graph(getattr(subject, "root", subject) if hasattr(subject, "__offload_function__") else subject)
    labels = [node.label for node in graph.nodes]
    parts = [_part(node, labels) for node in graph.nodes]
    owners = distributions(graph.modules)
    parts += [Part("distribution", n, v, []) for n, v in (one.split("==") for one in owners)]
    parts += [Part("setting", name, shown_setting(value), []) for name, value in current(settings_of(graph.modules))]
    name, _, version = interpreter().partition("-")
    parts.append(Part("interpreter", name, version, []))
    unfollowed = [f"{label}: {what}" for label, found in graph.unfollowed.items() for what in dict.fromkeys(found)]
    return Identity(graph.checksum, parts, unfollowed)


def _part(node: Node, labels: list[str]) -> Part:
    if node.kind in DECLARED:
        return Part(node.kind, node.label, short(node.content[0], node.kind), [])
    content = named(node.content, labels)
    reads: list[tuple[str, str]] = []
    if node.kind == "function":
        checksum = inspect_code(node.subject.__code__).digest  # type: ignore[attr-defined]
        reads = [(name, _shown(what)) for _, name, what in content[3] if what is not None]
    else:
        checksum = sha256(encode(content)).hexdigest()
    return Part(node.kind, node.label, checksum[:12], reads)


def _shown(what: Any) -> str:
    """Return a short text for what stands in a graph for a thing that is read."""
    kind = what[0]
    if kind == "node":
        return str(what[1])
    if kind == "value":
        return f"{what[1]} {what[2][:12]}" if what[1] not in ("str", "int", "float", "bool") else repr(what[2])
    if kind == "external":
        return ".".join(str(part) for part in what[1:3])
    return " ".join([kind, *(_shown(part) for part in what[1:] if isinstance(part, list) and part)])
