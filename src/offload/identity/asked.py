"""What counts only where some code asks for it: docstrings, annotations, attributes of functions, names of modules.

Whether it does is told by the names in the code, wherever it stands and whatever they are taken from: rather one time
too often than once too little.
"""

from __future__ import annotations

from types import CodeType, FunctionType

from offload.identity.distributions import PROJECT, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.identity.graph import Graph

_ANNOTATIONS = {
    "__annotations__", "fields", "get_annotations", "get_type_hints", "getfullargspec", "signature",
    "__orig_bases__", "get_original_bases",
}  # fmt: skip
_DOCSTRINGS = {"__doc__", "getdoc"}
_UNWRAPPED = ("__signature__", "__wrapped__")
_UNWRAPPING = {"getfullargspec", "signature", "unwrap"}
_SOURCES = {"findsource", "getcomments", "getsource", "getsourcelines"}
_LINES = {
    "co_code", "co_consts", "co_firstlineno", "co_lines", "co_linetable", "co_lnotab", "co_positions", "extract_stack",
    "extract_tb", "f_lineno", "getframeinfo", "getinnerframes", "getouterframes", "tb_lineno",
}  # fmt: skip
_NAMESPACES = {"__dict__", "vars", "getmembers"}
_NAMES = ("__module__", "__name__", "__qualname__")


class Asked:
    """Adds to the nodes of a graph what the code in it asks for."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._added: set[tuple[int, str]] = set()

    def add(self) -> None:
        """Add what the names met so far ask for, and is not there yet."""
        graph = self.graph
        names = graph.names
        for index in range(len(graph.nodes)):
            subject = graph.nodes[index].subject
            if names & _ANNOTATIONS:
                self._note(index, "annotations", lambda s=subject: graph.ask(_annotations, s))
            if names & _DOCSTRINGS:
                self._note(index, "doc", lambda s=subject: graph.ask(getattr, s, "__doc__", None))
            if names & _SOURCES:
                self._note(index, "source", lambda s=subject: graph.ask(_source, s))
            if isinstance(subject, FunctionType):
                if names & _LINES:
                    self._note(index, "lines", lambda s=subject: graph.ask(_lines, s.__code__))
                if "co_filename" in names:
                    self._note(index, "file", lambda s=subject: s.__code__.co_filename)
                unwrapped = _UNWRAPPED if names & _UNWRAPPING else ()
                for name in sorted(subject.__dict__):
                    if name in names or names & _NAMESPACES or name in unwrapped:
                        self._note(index, f"attribute {name}", lambda s=subject, n=name: self._attribute(s, n))
            if isinstance(subject, type):
                if names & _NAMESPACES:
                    self._note(index, "order", lambda s=subject: graph.ask(_order, s))
                if "__subclasses__" in names:
                    self._note(index, "subclasses", lambda s=subject: self._subclasses(s))
            if isinstance(subject, (type, FunctionType)):
                for name in _NAMES:
                    if name in names:
                        self._note(index, name, lambda s=subject, n=name: graph.ask(getattr, s, n))

    def _note(self, index: int, what: str, found: Any) -> None:
        if (index, what) not in self._added:
            self._added.add((index, what))
            self.graph.nodes[index].content.append(["asked", what, found()])

    def _attribute(self, function: FunctionType, name: str) -> object:
        return self.graph.describe(self.graph.look(function.__dict__, name), f"{function.__qualname__}.{name}")

    def _subclasses(self, cls: type) -> object:
        found = self.graph.ask(type.__subclasses__, cls)
        return [self.graph.refer(sub) for sub in found if origin(sub.__module__) == PROJECT]


def _source(subject: Any) -> list[object] | None:
    if subject is None:
        return None
    import inspect

    try:
        return list(inspect.getsourcelines(subject))
    except (OSError, TypeError):  # as the code that asks will find
        return None


def _lines(code: CodeType) -> list[object]:
    """Return where code stands, and its constants, also those that no instruction loads."""
    parts: list[object] = [code.co_firstlineno, code.co_linetable]
    return [*parts, *(_lines(c) if isinstance(c, CodeType) else [type(c).__name__, c] for c in code.co_consts)]


def _order(cls: type) -> list[str]:
    return [name for name in vars(cls) if name[:2] != "__"]


def _annotations(subject: object) -> str | None:
    if subject is None:
        return None
    import re

    text = repr([getattr(subject, "__annotations__", None), vars(subject).get("__orig_bases__")])
    return re.sub(" at 0x[0-9a-fA-F]+", "", text)
