"""What counts only where some code asks for it: docstrings, annotations, attributes of functions, names of modules.

Whether it does is told by the names in the code, wherever it stands and whatever they are taken from: rather one time
too often than once too little.
"""

from __future__ import annotations

from types import CodeType, FunctionType

from offload.identity.functions.argmap import COMPILED, rewrites_itself
from offload.identity.inspection import module_of
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.libraries.sources import LARGE, file_of, source, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from offload.identity.functions.graph import Graph

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
_NAMED = (type, FunctionType)
_NOTHING = object()
_PLAIN = {str, type, type(None)}  # of annotations: what is told by its identity


class Asked:
    """Adds to the nodes of a graph what the code in it asks for."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._asking: dict[str, Callable[[Any], Any]] = {}
        self._done: dict[str, int] = {}  # how many of the nodes have been asked
        self._attributed: list[tuple[int, FunctionType]] = []
        self._added: set[tuple[int, str]] = set()

    def add(self) -> None:
        """Add what the names met so far ask for, and is not there yet."""
        graph, count = self.graph, len(self.graph.nodes)
        self._ask_more()
        for what, ask in self._asking.items():
            for node in graph.nodes[self._done.get(what, 0) : count]:
                graph._at = node
                found = ask(node.subject)
                if found is not _NOTHING:
                    node.content.append(["asked", what, found])
            self._done[what] = count
        first = self._done.get("attributes", 0)
        for index, node in enumerate(graph.nodes[first:count], first):
            if isinstance(node.subject, FunctionType) and node.subject.__dict__:
                self._attributed.append((index, node.subject))
        self._done["attributes"] = count
        for index, function in self._attributed:
            self._attributes(index, function)

    def _ask_more(self) -> None:
        """Look which questions the names lead to."""
        names, ask = self.graph.names, self.graph.ask
        asking: dict[str, Callable[[Any], Any]] = {}
        if names & _ANNOTATIONS:
            asking["annotations"] = self._annotations
        if names & _DOCSTRINGS:
            asking["doc"] = self._doc
        if names & _SOURCES:
            asking["source"] = self._source
        if names & _LINES:
            asking["lines"] = lambda s: ask(_lines, s.__code__) if isinstance(s, FunctionType) else _NOTHING
        if "co_filename" in names:
            asking["file"] = lambda s: s.__code__.co_filename if isinstance(s, FunctionType) else _NOTHING
        if names & _NAMESPACES:
            asking["order"] = lambda s: ask(_order, s) if isinstance(s, type) else _NOTHING
        if "__subclasses__" in names:
            asking["subclasses"] = lambda s: self._subclasses(s) if isinstance(s, type) else _NOTHING
        for name in _NAMES:
            if name in names:
                asking[name] = lambda s, n=name: ask(_name_of, s, n) if isinstance(s, _NAMED) else _NOTHING  # type: ignore[misc]
        for what, question in asking.items():
            self._asking.setdefault(what, question)

    def _attributes(self, index: int, function: FunctionType) -> None:
        names = self.graph.names
        unwrapped = _UNWRAPPED if names & _UNWRAPPING else ()
        made = COMPILED if rewrites_itself(function) else ()
        for name in sorted(function.__dict__.keys() - made):
            asked = name in names or name in unwrapped or names & _NAMESPACES
            if asked and (index, name) not in self._added:
                self._added.add((index, name))
                self.graph._at = self.graph.nodes[index]
                found = self._attribute(function, name)
                self.graph.nodes[index].content.append(["asked", f"attribute {name}", found])

    def _attribute(self, function: FunctionType, name: str) -> object:
        return self.graph.describe(self.graph.look(function.__dict__, name), f"{function.__qualname__}.{name}")

    def _source(self, subject: Any) -> object:
        if len(self.graph.nodes) <= LARGE:
            return self.graph.ask(source, subject)
        # To find where a class ends, its whole file is parsed. So much that some text counts which nobody reads.
        file = file_of(subject)
        return None if file is None else self.graph.ask(text_of, file)

    def _annotations(self, subject: Any) -> object:
        if type(subject) is FunctionType and _PLAIN.issuperset(map(type, subject.__annotations__.values())):
            self.graph.note_annotations(subject)
            return _annotations(subject)
        return self.graph.ask(_annotations, subject)

    def _doc(self, subject: Any) -> object:
        found = self.graph.ask(getattr, subject, "__doc__", None)
        if found is None or isinstance(found, str):
            return found
        from offload.identity.functions.classes import member_contents

        return member_contents(self.graph, found, f"{subject.__qualname__}.__doc__")  # a property, perhaps

    def _subclasses(self, cls: type) -> object:
        found = self.graph.ask(type.__subclasses__, cls)
        return [self.graph.refer(sub) for sub in found if origin(sub.__module__) == PROJECT]


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


def _name_of(subject: Any, name: str) -> object:
    return module_of(subject) if name == "__module__" and isinstance(subject, type) else getattr(subject, name)
