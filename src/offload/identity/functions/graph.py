"""What a function or class reaches: a graph of code and values, named by nothing but its shape and content.

Nodes are numbered in the order in which the code reaches them, so neither module names nor addresses count, and cycles
end. The graph remembers what it looked at, and can tell whether that is still the same.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

from offload.errors import CycleError, EncodeError, IdentityError
from offload.identity.functions.graph_state import Watched
from offload.identity.functions.state_checks import MISSING, no_collection
from offload.identity.functions.unpicklable import library_name
from offload.identity.ignored import IGNORED, is_ignored, name_to_ignore
from offload.identity.inspection import attributes as attributes_of
from offload.identity.inspection import is_a
from offload.identity.libraries.settings import asked_by_name, asks_for_settings
from offload.identity.references import is_silent
from offload.identity.values.cbor import head
from offload.identity.values.computed_attributes import TELLS_COUNTS
from offload.identity.values.encode import Encoder, encode, no_endless_recursion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), BuiltinFunctionType)
# Their methods are the functions of modules: new in each process, so that with their state nothing would be recalled.
_GENERATORS = (("random", "_inst"), ("numpy.random.mtrand", "_rand"))
# What functools.update_wrapper copies from the function that is wrapped.
_COPIED = {"__annotations__", "__doc__", "__module__", "__name__", "__qualname__", "__type_params__"}
_OF_CACHES = {"__wrapped__", "cache_parameters"}
# A module that is loaded on the way may register things in what was seen before; then all is looked at once more.
_MOST_WALKS = 5


class Node:
    """One thing that counts: a function, a class, a module or what stands for one.

    Attributes
    ----------
    kind : str
        ``"function"``, ``"class"`` or ``"module"``; for what was declared ``"variable"``, ``"dependency"`` or
        ``"version"``.
    label : str
        Where it was found, for people; it does not count.
    content : list
        What counts of it; other nodes in it stand as their numbers.
    subject : object
        The thing itself.
    via : Node, optional
        By which one it was reached first.
    where : str
        As what it was found there, or a value that leads to it.
    """

    __slots__ = ("_content", "_sealed", "kind", "label", "subject", "via", "where")

    def __init__(self, kind: str, label: str, subject: object, via: Node | None = None) -> None:
        self.via = via
        self.where = ""
        self.kind = kind
        self.label = label
        self.subject = subject
        self._content: list[object] = []
        self._sealed: bytes | None = None

    @property
    def content(self) -> list[Any]:
        """What counts of it."""
        if self._sealed is None:
            return self._content
        from offload.identity.values.decode import decode

        return decode(self._sealed)[1]  # type: ignore[no-any-return]

    @content.setter
    def content(self, content: list[object]) -> None:
        self._content = content

    def canonical(self) -> bytes:
        """Return the encoding of the kind and the content, which is kept from now on in the place of the content.

        The contents of a large library are some million lists, among which Python would look for garbage.
        """
        if self._sealed is None:
            self._sealed = encode([self.kind, self._content])
            self._content = []
        return self._sealed


class Graph(Watched):
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
        Modules of installed distributions that are reached; their versions count too. And what of
        :mod:`offload.identity.libraries.settings` counts.
    names : set of str
        All attributes and variables that the code names.
    unfollowed : dict
        By function, what its code uses that cannot be followed: ``eval``, a computed ``getattr``.

    Raises
    ------
    IdentityError
        If something is reached that can be neither followed nor encoded.
    """

    follows_texts = True  # whether names in strings are followed, too

    def __init__(self, root: object) -> None:
        with no_collection():
            for _ in range(_MOST_WALKS):
                self._begin(root)
                self.content = self.describe(root)
                self._drain()
                if not self.imports:
                    break
            self.checksum = sha256(self.canonical()).hexdigest()
        self._digests.clear()
        self._looked.clear()
        self._asked.clear()
        self._pieces.forget()

    def _begin(self, root: object) -> None:
        super().__init__()
        self.root = root
        self.modules: set[str] = set()
        self.names: set[str] = set()
        self.outside: set[str] = set()  # packages of libraries, those of Python included
        self.unfollowed: dict[str, list[str]] = {}
        self.puts: list[tuple[type | ModuleType, str]] = []  # what counts in the classes and modules of libraries
        self.texts: list[tuple[Node, FunctionType, list[str]]] = []  # strings of functions' code and values
        self.caches: list[Any] = []  # of `lru_cache`
        self.ignored: dict[str, object] = {}  # what the user vouches for, by name
        self.passed: list[tuple[Mapping[Any, Any], object, object]] = []  # where that was found
        self.imports = False  # whether following the code has loaded a module, which may change what was seen before
        self._numbers: dict[int, int] = {}
        self._queue: deque[Node] = deque()
        self._at: Node | None = None  # whose content is being looked at
        self._where = ""  # what of it
        self._digests: dict[int, str] = {}  # of values that can change, which are kept

    def canonical(self) -> bytes:
        """Return the bytes whose checksum is the identity."""
        nodes = [node.canonical() for node in self.nodes]
        return b"".join([head(4, 2), encode(self.content), head(4, len(nodes)), *nodes])  # a list of two, and of all

    # What the parts of the graph are made of ------------------------------------------------------------

    def number(self, kind: str, subject: object, label: str) -> list[object]:
        """Return the reference to the node of `subject`, which is added when it is new."""
        number = self._numbers.get(id(subject))
        if number is None:
            number = self._numbers[id(subject)] = len(self.nodes)
            node = Node(kind, label, subject, self._at)
            node.where = self._where
            self.nodes.append(node)
            self._queue.append(node)
        return ["node", number]

    @contextmanager
    def within(self, value: object) -> Iterator[int | None]:
        """Describe a value within a block, unless that is under way: then its number is given, which stands for it.

        So it is for an object that holds a function of which a cell holds the object.
        """
        number = self._begun.setdefault(id(value), (len(self._begun), value))[0]
        if number in self._open:
            yield number
            return
        self._open |= {number}
        try:
            yield None
        finally:
            self._open -= {number}

    def note_external(self, path: list[str]) -> None:
        """Note a name outside of the project; a setting of the process may count with it."""
        self.outside.add(path[0])
        setting = asks_for_settings(path)
        if setting is not None:
            self.modules.add(setting)

    def leaf(self, kind: str, label: str, content: object) -> object:
        """Add a node of which all is known, and return the reference to it."""
        node = Node(kind, label, None)
        node.content.append(content)
        self.nodes.append(node)
        return ["node", len(self.nodes) - 1]

    def changed(self) -> str | None:
        """Return the name of something that makes the graph another one than when it was made, or None."""
        if self.is_current():
            return None
        try:
            same = Graph(self.root).checksum == self.checksum  # what has changed may not count
        except (EncodeError, IdentityError):
            same = False
        return None if same else self.what_changed()

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
        self._where = where or self._where
        if self.ignored and is_ignored(self, value):
            return IGNORED
        known = DESCRIBERS.get(type(value))
        if known is not None:
            return known(self, value, where)
        if is_a(value, type) or is_a(value, ModuleType):
            return self.refer(value)
        cls = type(value)
        if is_silent(cls):
            return ["silent", cls.__name__]
        follow = getattr(cls, "__offload_function__", None)
        if follow is not None:
            return self.describe(follow(value), where)
        attributes = attributes_of(value)
        if attributes is not None and "__wrapped__" in attributes:
            if cls.__name__ == "_lru_cache_wrapper":  # what it remembers does not count
                self.caches.append(value)
                wrapped = self.describe(self.look(attributes, "__wrapped__"), where)
                return [
                    "cached",
                    wrapped,
                    *self.attributes(attributes, where, _COPIED | {"__wrapped__", "cache_parameters"}),
                ]
            if callable(value) and cls.__reduce__ is object.__reduce__:
                return ["wrapper", self.refer(cls), self.attributes(attributes, where, _COPIED)]
        return self._encoded(value, where)

    def attributes(self, attributes: dict[str, object], where: str, but: set[str]) -> list[list[object]]:
        """Return what stands for the attributes of an object, but for some."""
        self.measure(attributes)
        names = sorted(attributes.keys() - but)
        return [[name, self.describe(self.look(attributes, name), where)] for name in names]

    def describe_owner(self, value: object, where: str) -> object:
        """Return what stands for the object of a bound method; for the generators behind `random`, not their state."""
        for module, name in _GENERATORS:
            if value is getattr(sys.modules.get(module), name, MISSING):
                return ["external", module, name]
        return self.describe(value, where)

    def refer(self, value: object) -> object:
        """Return what stands for a class, function or module that is found inside a value."""
        from offload.identity.functions.members import reference

        return reference(self, value)

    def digest(self, value: object) -> str:
        """Return the checksum of a value's encoding, with what it reaches in this graph."""
        self._pieces.opaque = False
        encoder = Encoder(portable=False, refer=self.refer, pieces=self._pieces)
        with no_endless_recursion(value):
            try:
                encoder.write(value)
            except CycleError:
                from offload.identity.values.cycles import CyclicEncoder

                self._pieces.opaque = False
                encoder = CyclicEncoder(self.refer, pieces=self._pieces)
                encoder.write(value)
        self.modules |= encoder.modules
        return sha256(b"".join(encoder.chunks)).hexdigest()

    def _encoded(self, value: object, where: str) -> object:
        known = self._digests.get(id(value))
        if known is not None:
            return ["value", type(value).__qualname__, known]
        try:
            with self.within(value) as number:
                if number is not None:
                    return ["again", number]
                digest = self.digest(value)
        except EncodeError as exc:
            kept = library_name(value)
            if kept is not None:
                self.modules.add(kept[0].partition(".")[0])
                return ["library", *kept]
            raise IdentityError(
                f"{where or 'the function'} reaches a {type(value).__module__}.{type(value).__qualname__} "
                f"that has no identity: {exc.message}",
                "create it inside the function, from what you pass; or, if it never changes a result, let it not "
                f"count: @offload.task(ignore=[{name_to_ignore(self, where)}])",
            ) from exc
        if not _is_immutable(value):
            self._digests[id(value)] = digest
            self._values.append((value, digest, where))
            if self._open:
                self._contexts[id(value), digest] = self._open
            if self._pieces.opaque:
                self._opaque.append((value, digest, where))
        return ["value", type(value).__qualname__, digest]

    def _drain(self) -> None:
        from offload.identity.functions.members import contents
        from offload.identity.functions.names_in_strings import Texts
        from offload.identity.functions.reflection import Asked
        from offload.identity.libraries.patches import Patches

        asked, patches, texts = Asked(self), Patches(self), Texts(self)
        while self._queue:
            while self._queue:
                node = self._at = self._queue.popleft()
                node.content = contents(self, node)
            if self.follows_texts:
                texts.add()  # these may reach more
            asked.add()
            patches.add()
        self.modules.update(asked_by_name(self.names, self.modules))
        self._refuse_counts()

    def _refuse_counts(self) -> None:
        """Refuse what asks how often an object of a library was used, which does not count."""
        if "sklearn.neighbors" in sys.modules and not TELLS_COUNTS.isdisjoint(self.names):
            what = f"{min(TELLS_COUNTS & self.names)}, which is another one after each call"
            raise IdentityError(f"a tree of scikit-learn is asked for {what}", "ask outside of the function")


def _is_immutable(value: object) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_immutable, value))  # type: ignore[call-overload]
    return type(value) in _ATOMS or is_a(value, type)


def _describe_atom(graph: Graph, value: object, where: str) -> object:
    return ["value", type(value).__qualname__, value]


def _describe_reference(graph: Graph, value: object, where: str) -> object:
    return graph.refer(value)


def _describe_method(graph: Graph, value: MethodType, where: str) -> object:
    return ["method", graph.describe(value.__func__, where), graph.describe_owner(value.__self__, where)]


def _describe_partial(graph: Graph, value: partial[Any], where: str) -> object:
    arguments = [graph.describe(a, where) for a in value.args]
    graph.measure(value.keywords)
    keywords = [[k, graph.describe(graph.look(value.keywords, k), where)] for k in value.keywords]
    more = graph.attributes(value.__dict__, where, set())
    return ["partial", graph.describe(value.func, where), arguments, keywords, *more]


# What stands for values of these types; for subclasses and all others see `Graph.describe`.
DESCRIBERS: dict[type, Callable[[Graph, Any, str], object]] = {
    FunctionType: _describe_reference,
    BuiltinFunctionType: _describe_reference,
    ModuleType: _describe_reference,
    type: _describe_reference,
    MethodType: _describe_method,
    partial: _describe_partial,
    **dict.fromkeys((t for t in _ATOMS if t is not BuiltinFunctionType), _describe_atom),
}
