"""The parts of a project that a function reaches, each with a checksum: to name what differs between two processes."""

from __future__ import annotations

from hashlib import sha256

from offload.identity.values.encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.identity.functions.graph import Graph


# The kinds of nodes that stand for what was declared: their content is one value.
DECLARED = ("variable", "dependency", "version", "ignored")


def short(content: object, kind: str = "") -> str:
    """Return a short text for what a declaration counts as."""
    if kind == "ignored":
        return "does not count"
    if content is None:
        return "not set"
    is_checksum = isinstance(content, str) and len(content) == 64 and content.isalnum()
    return str(content)[:12] if is_checksum else repr(content)


def parts(graph: Graph) -> dict[str, str]:
    """Return a checksum for each part of the project that a graph reaches, by its kind and name."""
    labels = [node.label for node in graph.nodes]
    found: dict[str, str] = {}
    for node in graph.nodes:
        name = f"{node.kind} {node.label}"
        digest = sha256(encode(named(node.content, labels))).hexdigest()
        found[name] = found.get(name, "") + digest[:16]
    return found


def different_parts(theirs: dict[str, str], ours: dict[str, str]) -> list[str]:
    """Return what differs between parts, in words of who sent the function: that is *here*, this process *there*."""
    found = []
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        if name not in ours:
            found.append(f"the {name} is not found there")
        elif name not in theirs:
            found.append(f"the {name} is used only there")
        elif theirs[name] != ours[name]:
            found.append(f"the {name} is another one there")
    return found


def named(content: Any, labels: list[str]) -> Any:
    """Return a node's content with the numbers of other nodes, which shift, replaced by their labels."""
    if isinstance(content, list):
        if len(content) == 2 and content[0] == "node" and type(content[1]) is int:
            return ["node", labels[content[1]]]
        return [named(item, labels) for item in content]
    return content
