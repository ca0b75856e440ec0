"""What a function or class reaches: a graph of code and values, named by nothing but its shape and content.

Nodes are numbered in the order in which the code reaches them, so neither module names nor addresses count, and cycles
end. The graph remembers what it looked at. While every global, closure cell, default and class attribute is still the
same object, and every mutable value among them still encodes to the same bytes, so is the graph's checksum.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from hashlib import sha256
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType

from offload.errors import EncodeError, IdentityError
from offload.identity.encoding import Encoder, encode
from offload.identity.references import is_silent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

MISSING = object()
_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), BuiltinFunctionType)
# What functools.update_wrapper copies from the function that is wrapped.
_COPIED = {"__annotations__", "__doc__", "__module__", "__name__", "__qualname__", "__type_params__"}


class Node:
    """One thing that counts: a function, a class, a module or what stands for one.

    Attributes
    ----------
    kind : str
        ``"function"``, ``"class"``, ``"module"`` or ``"extension"``.
    label : str
        Where it was found, for people; it does not count.
    content : list
        What counts of it; other nodes in it stand as their numbers.
    subject : object
        The thing itself.
    """

    __slots__ = ("content", "kind", "label", "subject")

    def __init__(self, kind: str, label: str, subject: object) -> None:
        self.kind = kind
        self.label = label
        self.subject = subject
        self.content: list[object] = []


class Graph:
    """The graph below one root.

    Parameters
    ----------
    root : object
        A function or class.

    Attributes
    ----------
    checksum : str
        The identity: of the root's and the nodes' contents, and of nothing else.
    content : object
        What stands for the root.
    nodes : list of Node
        In the order in which they are reached; the root first.
    modules : set of str
        Modules of installed distributions that are reached; their versions count too.

    Raises
    ------
    IdentityError
        If something is reached that can be neither followed nor encoded.
    """

    def __init__(self, root: object) -> None:
        self.nodes: list[Node] = []
        self.modules: set[str] = set()
        self.reads_annotations = False
        self._numbers: dict[int, int] = {}
        self._queue: deque[Node] = deque()
        self._names: list[tuple[Mapping[Any, Any], object, object]] = []
        self._sizes: list[tuple[Mapping[Any, Any], int]] = []
        self._cells: list[tuple[CellType, object]] = []
        self._functions: list[tuple[FunctionType, object, object, object]] = []
        self._values: list[tuple[object, str]] = []
        self.root = root
        self.content = self.describe(root)
        self._drain()
        if self.reads_annotations:
            for node in self.nodes:
                node.content.append(repr(getattr(node.subject, "__annotations__", None)))
        self.checksum = sha256(self.canonical()).hexdigest()

    def canonical(self) -> bytes:
        """Return the bytes whose checksum is the identity."""
        return encode([self.content, [[node.kind, node.content] for node in self.nodes]])

    def changed(self) -> str | None:
        """Return the name of something that is not what it was when it was looked at, or None."""
        if self.is_current():
            return None
        for names, name, seen in self._names:
            if names.get(name, MISSING) is not seen:
                return str(name)
        return "what a global or a default holds"

    def is_current(self) -> bool:
        """Tell whether everything that was looked at is still what it was."""
        for names, name, seen in self._names:
            if names.get(name, MISSING) is not seen:
                return False
        for function, code, defaults, keywords in self._functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not keywords
            ):
                return False
        for cell, seen in self._cells:
            if cell_contents(cell) is not seen:
                return False
        for names, size in self._sizes:
            if len(names) != size:
                return False
        return not self._values or self._values_are_current()

    def _values_are_current(self) -> bool:
        # What encoding a value reaches is noted again, at the end of these lists; it is there already.
        notes: list[list[Any]] = [self._names, self._sizes, self._cells, self._values]
        lengths = [len(noted) for noted in notes]
        size = len(self.nodes)
        try:
            return all(self.digest(v) == seen for v, seen in self._values[: lengths[-1]]) and len(self.nodes) == size
        except EncodeError:  # it holds something new that cannot be encoded: a new graph says where
            return False
        finally:
            for noted, length in zip(notes, lengths, strict=True):
                del noted[length:]

    # What the parts of the graph are made of ------------------------------------------------------------

    def look(self, names: Mapping[Any, Any], name: object) -> object:
        """Look a name up, and remember what was found."""
        found = names.get(name, MISSING)
        self._names.append((names, name, found))
        return found

    def measure(self, names: Mapping[Any, Any]) -> None:
        """Remember how many names there are, where a new one would count."""
        self._sizes.append((names, len(names)))

    def look_in(self, cell: CellType) -> object:
        """Look into a closure cell, and remember what was found."""
        found = cell_contents(cell)
        self._cells.append((cell, found))
        return found

    def watch(self, function: FunctionType) -> None:
        """Remember a function's code and defaults."""
        self._functions.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))

    def number(self, kind: str, subject: object, label: str) -> list[object]:
        """Return the reference to the node of `subject`, which is added when it is new."""
        number = self._numbers.get(id(subject))
        if number is None:
            number = self._numbers[id(subject)] = len(self.nodes)
            node = Node(kind, label, subject)
            self.nodes.append(node)
            self._queue.append(node)
        return ["node", number]

    def describe(self, value: object, where: str = "") -> object:
        """Return what stands for `value` in the content of a node.

        Parameters
        ----------
        value : object
            Anything that code reaches.
        where : str
            How it is reached, for error messages.
        """
        if value is MISSING:
            return ["missing"]
        known = _DESCRIBERS.get(type(value))
        if known is not None:
            return known(self, value, where)
        if isinstance(value, type):
            return self.refer(value)
        cls = type(value)
        if is_silent(cls):
            return ["silent", cls.__name__]
        follow = getattr(cls, "__offload_function__", None)
        if follow is not None:
            return self.describe(follow(value), where)
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict) and "__wrapped__" in attributes:
            if cls.__name__ == "_lru_cache_wrapper":  # what it remembers does not count
                return ["cached", self.describe(self.look(attributes, "__wrapped__"), where)]
            if callable(value) and cls.__reduce__ is object.__reduce__:
                self.measure(attributes)
                names = sorted(attributes.keys() - _COPIED)
                return [
                    "wrapper",
                    self.refer(cls),
                    [[n, self.describe(self.look(attributes, n), where)] for n in names],
                ]
        return self._encoded(value, where)

    def refer(self, value: object) -> object:
        """Return what stands for a class, function or module that is found inside a value."""
        from offload.identity.members import reference

        return reference(self, value)

    def digest(self, value: object) -> str:
        """Return the checksum of a value's encoding, with what it reaches in this graph."""
        encoder = Encoder(portable=False, refer=self.refer)
        encoder.write(value)
        self.modules |= encoder.modules
        return sha256(b"".join(encoder.chunks)).hexdigest()

    def _encoded(self, value: object, where: str) -> object:
        try:
            digest = self.digest(value)
        except EncodeError as exc:
            raise IdentityError(
                f"{where or 'the function'} reaches a {type(value).__module__}.{type(value).__qualname__} "
                f"that has no identity: {exc.message}",
                "pass it as an argument, or create it inside the function",
            ) from exc
        if not _is_immutable(value):
            self._values.append((value, digest))
        return ["value", type(value).__qualname__, digest]

    def _drain(self) -> None:
        from offload.identity.members import contents

        while self._queue:
            node = self._queue.popleft()
            node.content = contents(self, node)


def cell_contents(cell: CellType) -> object:
    """Return what a closure cell holds, or MISSING where it is still empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _is_immutable(value: object) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_immutable, value))  # type: ignore[call-overload]
    return type(value) in _ATOMS or isinstance(value, type)


def _describe_atom(graph: Graph, value: object, where: str) -> object:
    return ["value", type(value).__qualname__, value]


def _describe_reference(graph: Graph, value: object, where: str) -> object:
    return graph.refer(value)


def _describe_method(graph: Graph, value: MethodType, where: str) -> object:
    return ["method", graph.describe(value.__func__, where), graph.describe(value.__self__, where)]


def _describe_partial(graph: Graph, value: partial[Any], where: str) -> object:
    arguments = [graph.describe(a, where) for a in value.args]
    keywords = [[k, graph.describe(v, where)] for k, v in value.keywords.items()]
    return ["partial", graph.describe(value.func, where), arguments, keywords]


_DESCRIBERS: dict[type, Callable[[Graph, Any, str], object]] = {
    FunctionType: _describe_reference,
    BuiltinFunctionType: _describe_reference,
    ModuleType: _describe_reference,
    type: _describe_reference,
    MethodType: _describe_method,
    partial: _describe_partial,
    **dict.fromkeys((t for t in _ATOMS if t is not BuiltinFunctionType), _describe_atom),
}
