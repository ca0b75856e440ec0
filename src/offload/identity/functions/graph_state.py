"""What a graph looked at, and whether it is still the same.

While every global, closure cell, default and class attribute is still the same object, and every mutable value among
them still encodes to the same bytes, so is the graph's checksum. Asking costs microseconds, for all of a large library
some milliseconds.
"""

from __future__ import annotations

from types import FunctionType

from offload.errors import EncodeError
from offload.identity.functions.state_checks import MISSING, Checks, no_collection
from offload.identity.inspection import is_a
from offload.identity.values.globals import Pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CellType
    from typing import Any

    from offload.identity.functions.graph import Node

# Who asks for annotations, pickles an instance or is warned adds these to a class or module.
_LATE = {"__annotations__", "__annotations_cache__", "__slotnames__", "__warningregistry__"}
_IMMUTABLE = 1 << 8  # of the flags of a class: Python refuses to change its members


class Watched:
    """The base of :class:`offload.identity.functions.graph.Graph`: its memory of what was looked at."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._names: list[tuple[Mapping[Any, Any], object, object]] = []
        self._looked: set[tuple[int, object]] = set()
        self._asked: dict[tuple[object, ...], object] = {}
        self._sizes: list[tuple[Mapping[Any, Any], int]] = []
        self._cells: list[tuple[CellType, object]] = []
        self._functions: list[tuple[FunctionType, object, object, object]] = []
        self._annotated: list[tuple[FunctionType, tuple[tuple[str, object], ...]]] = []
        self._values: list[tuple[object, str, str]] = []
        self._answers: list[tuple[Callable[..., object], tuple[Any, ...], object]] = []
        self._opaque: list[tuple[object, str, str]] = []  # of the values, those whose pieces do not tell
        self._pieces = Pieces()
        self._begun: dict[int, tuple[int, object]] = {}  # numbers of what has been described, by ids
        self._open: frozenset[int] = frozenset()  # of what is being described
        self._contexts: dict[tuple[int, str], frozenset[int]] = {}  # within which of these a value was met
        self._checks: Checks | None = None

    def what_changed(self) -> str:
        """Return the name of something that is not what it was."""
        for names, name, seen in self._names:
            if names.get(name, MISSING) is not seen:
                return str(name)
        for question, arguments, answer in self._answers:
            if question(*arguments) != answer:
                texts = [str(a) for a in arguments if isinstance(a, str)]
                texts += [a.__qualname__ for a in arguments if isinstance(a, (type, FunctionType))]
                return " ".join(texts[:1]) or "what it reaches"
        for value in self._values:
            if not self._are_written_alike([value], Pieces()):
                found = [value[2], self._pieces.changed()]
                return ": ".join(part for part in found if part) or "what it reaches"
        return "what a global or a default holds"

    def is_current(self) -> bool:
        """Tell whether everything that was looked at is still what it was."""
        if self._checks is None:
            with no_collection():
                self._checks = Checks(self._names, self._sizes, self._functions, self._annotated, self._answers)
        if not self._checks.are_same() or any(cell_contents(cell) is not seen for cell, seen in self._cells):
            return False
        return not self._values or self._values_are_current()

    def _values_are_current(self) -> bool:
        if not self._pieces.are_same():
            pieces = Pieces()
            current = self._are_written_alike(self._values, pieces)
            if current:  # other objects, which are equal
                self._pieces = pieces
            return current
        return not self._opaque or self._are_written_alike(self._opaque, Pieces())

    def _are_written_alike(self, values: list[tuple[object, str, str]], pieces: Pieces) -> bool:
        # What encoding a value reaches is noted again, at the end of these lists; it is there already.
        notes: list[list[Any]] = [self._names, self._sizes, self._cells, self._answers, self._values, self._opaque]
        lengths = [len(noted) for noted in notes]
        size, before = len(self.nodes), self._pieces
        self._pieces = pieces
        try:
            alike = True
            for value, seen, _ in values[:]:
                self._open = self._contexts.get((id(value), seen), frozenset()) | {self._begun[id(value)][0]}
                alike = alike and self.digest(value) == seen
            return alike and len(self.nodes) == size
        except EncodeError:  # it holds something new that cannot be encoded: a new graph says where
            return False
        finally:
            self._pieces, self._open = before, frozenset()
            pieces.forget()
            self._asked.clear()
            self._looked.clear()
            for noted, length in zip(notes, lengths, strict=True):
                del noted[length:]

    def look(self, names: Mapping[Any, Any], name: object) -> object:
        """Look a name up, and remember what was found."""
        found = names.get(name, MISSING)
        key = id(names), name
        if key not in self._looked:  # the mapping is kept, so that its id stays its own
            self._looked.add(key)
            self._names.append((names, name, found))
        return found

    def measure(self, names: Mapping[Any, Any]) -> None:
        """Remember how many names there are, where a new one would count."""
        self._sizes.append((names, len(names)))

    def measure_members(self, holder: object) -> None:
        """Remember how many members a class or module has."""
        if not (is_a(holder, type) and holder.__flags__ & _IMMUTABLE):
            self.ask(_count, holder)

    def look_in(self, cell: CellType) -> object:
        """Look into a closure cell, and remember what was found."""
        found = cell_contents(cell)
        self._cells.append((cell, found))
        return found

    def watch(self, function: FunctionType) -> None:
        """Remember a function's code and defaults."""
        self._functions.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))

    def note_annotations(self, function: FunctionType) -> None:
        """Remember a function's annotations, which are text and classes."""
        self._annotated.append((function, tuple(function.__annotations__.items())))

    def ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that tells something which may change, and remember what it answered."""
        key = question, *(a if type(a) is str else id(a) for a in arguments)
        if key in self._asked:
            return self._asked[key]
        answer = self._asked[key] = question(*arguments)
        self._answers.append((question, arguments, answer))
        return answer

    def digest(self, value: object) -> str:
        """Return the checksum of a value's encoding, with what it reaches."""
        raise NotImplementedError


class Held:
    """What a module's ``__getattr__`` gave: the same when it is the same object, or a plain value that is equal."""

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: object) -> None:
        self.value = value

    @classmethod
    def attribute(cls, module: object, name: str) -> Held:
        """Ask a module for an attribute."""
        return cls(getattr(module, name, MISSING))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Held):
            return False
        one, two = self.value, other.value
        return one is two or (type(one) is type(two) and type(one) in (str, int, float, bool, bytes) and one == two)


def _count(holder: object) -> int:
    names = vars(holder)
    return len(names) - len(_LATE & names.keys())


def cell_contents(cell: CellType) -> object:
    """Return what a closure cell holds, or MISSING where it is still empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
