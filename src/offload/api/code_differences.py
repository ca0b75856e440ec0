"""What differs between the code that two calls reach, part by part: for ``why``."""

from __future__ import annotations

import difflib
from hashlib import sha256

from offload.identity.functions.parts import DECLARED, named, short
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode
from offload.records.explanation import Difference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Node = tuple[str, str, Any, str | None, dict[str, str]]


class Code:
    """What a function reaches, as it was kept when it ran.

    Attributes
    ----------
    root : object
        What was called: a function by its label, or what a partial, method or object is made of.
    nodes : list of Node
        Kind, label, content, source text if there is one, and the values of names in short.
    """

    __slots__ = ("nodes", "root")

    def __init__(self, kept: Any) -> None:
        nodes = kept["nodes"] if kept else []
        labels = [node[1] for node in nodes]
        self.root = named(kept["root"], labels) if kept else None
        self.nodes: list[Node] = [
            (kind, label, named(decode(content)[1], labels), source, shown[0] if shown else {})
            for kind, label, content, source, *shown in nodes
        ]


def code_differences(before: Code, after: Code) -> list[Difference]:
    """Return what differs between the code of two calls; it is known that something does."""
    if not before.nodes or not after.nodes:
        return [Difference("code", "not kept", "changed")]
    old, new = ({(node[1], i): node for node, i in _counted(side.nodes)} for side in (before, after))
    found = _root_differences(before.root, after.root)
    for key in [*old, *(k for k in new if k not in old)]:
        if key not in old:
            found.append(Difference(f"{new[key][0]} {key[0]}", None, "now reached"))
        elif key not in new:
            found.append(Difference(f"{old[key][0]} {key[0]}", "reached", None))
        elif old[key][2] != new[key][2]:
            found += _node_differences(old[key], new[key])
    # The order in which things are reached counts, too.
    return found or [Difference("code", "reached in another order", "reached in this order")]


def _root_differences(before: Any, after: Any) -> list[Difference]:
    if before == after:
        return []
    if before[0] == after[0] == "partial":
        old, new = ({**dict(enumerate(one[2])), **dict(one[3])} for one in (before, after))
        found = _root_differences(before[1], after[1])
        for name, a, b in changes(old, new):
            part = f"fixed argument {name + 1 if isinstance(name, int) else name}"
            found.append(Difference(part, *_both(_shown(a, None), _shown(b, None))))
        return found or [Difference("order of the fixed arguments", ", ".join(map(str, old)), ", ".join(map(str, new)))]
    if before[0] == after[0] == "method" and before[1] == after[1]:
        return [Difference("object of the method", *_both(_shown(before[2], None), _shown(after[2], None)))]
    if before[0] == after[0] == "node":
        return []  # another function, and so another node
    return [Difference("what is called", *_both(_shown(before, None), _shown(after, None)))]


def _counted(nodes: list[Node]) -> list[tuple[Node, int]]:
    seen: dict[str, int] = {}
    counted = []
    for node in nodes:
        seen[node[1]] = seen.get(node[1], -1) + 1
        counted.append((node, seen[node[1]]))
    return counted


def _node_differences(before: Node, after: Node) -> list[Difference]:
    kind, label, old, old_source, old_shown = before
    _, _, new, new_source, new_shown = after
    if kind in DECLARED:
        return [Difference(f"{kind} {label}", *(short(side[0], kind) for side in (old, new)))]
    found: list[Difference] = []
    if kind == "function":
        reads = [{name: what for _, name, what in side[3]} for side in (old, new)]
        found = [
            Difference(f"{label} reads {name}", *_both(_shown(a, old_shown.get(name)), _shown(b, new_shown.get(name))))
            for name, a, b in changes(*reads)
        ]
        if found and old[:3] == new[:3] and old[4:] == new[4:]:
            return found
        found = [one for one in found if one.before is not None and one.after is not None]  # else the code tells
    diff = difflib.unified_diff(
        (old_source or "").splitlines(), (new_source or "").splitlines(), "before", "now", lineterm="", n=2
    )
    detail = "\n".join(list(diff)[2:])
    assigned = [] if detail else _assigned(kind, label, old, new)
    if assigned:
        return found + assigned
    return [*found, Difference(f"code of {label}", "was other code", "this code", detail or None)]


def _assigned(kind: str, label: str, before: Any, after: Any) -> list[Difference]:
    """Return the defaults or members that differ where the source text does not: they were assigned, or computed."""
    if kind == "function":
        if before[0] != after[0]:
            return []
        old, new = (_defaults(content) for content in (before, after))
        return [
            Difference(f"default {name} of {label}", *_both(_shown(a, None), _shown(b, None)))
            for name, a, b in changes(old, new)
        ]
    old, new = (_members(kind, content) for content in (before, after))
    return [Difference(f"{label}.{name}", *_both(_shown(a, None), _shown(b, None))) for name, a, b in changes(old, new)]


def _defaults(content: Any) -> dict[Any, Any]:
    """Return what the defaults of a function stand for, by their number or name."""
    return {**dict(enumerate(content[1], 1)), **dict(content[2])}


def _members(kind: str, content: Any) -> dict[str, Any]:
    """Return what the members of a class or module stand for."""
    listed = content[3] if kind == "class" and len(content) > 3 else content
    return {one[0]: one[1] for one in listed if isinstance(one, list) and len(one) == 2 and isinstance(one[0], str)}


def _shown(what: Any, text: str | None) -> tuple[str, str] | None:
    """Return a short text for what a name stood for, and one that tells it from its like."""
    if what is None:
        return None
    if what[0] == "value" and len(what) == 3:
        if type(what[2]) is str and len(what[2]) == 64:
            return text or what[1], f"{text or what[1]} ({what[2][:8]})"
        return repr(what[2]), repr(what[2])
    words = " ".join(str(item) for item in what if isinstance(item, str)) or f"{len(what)} parts"
    return words, f"{words} ({sha256(encode(what)).hexdigest()[:8]})"


def _both(before: tuple[str, str] | None, after: tuple[str, str] | None) -> tuple[str | None, str | None]:
    longer = before is not None and after is not None and before[0] == after[0]
    return before and before[longer], after and after[longer]


def changes(before: dict[Any, Any], after: dict[Any, Any]) -> list[tuple[Any, Any, Any]]:
    """Return the names whose values differ, with both; None where there is none."""
    names = [*before, *(name for name in after if name not in before)]
    return [(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]
