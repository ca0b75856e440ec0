"""Names in strings: what ``df.query("a > @LIMIT")``, ``eval``, formulas and SQL over frames find among the globals.

Where code that is reached names something that looks up names in text, all identifiers in its string constants count
that are globals there; where none is named, those in strings that are plainly expressions. That may be more than is
looked up, and costs no more than a run. Docstrings are no constants of code, and do not count.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from keyword import iskeyword
from types import CodeType, FunctionType

from offload.errors import EncodeError, IdentityError
from offload.identity.functions.bytecode import Read, inspect_code
from offload.identity.functions.computed_names import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from offload.identity.functions.graph import Graph, Node
    from offload.identity.functions.trials import Trials

    Places = dict[str, list[tuple[int, FunctionType]]]

# They look names up in text that they are given.
_LOOKING_UP = set(
    "EvalEnvironment Formula ModelDesc NumExpr SQLContext build_design_matrices compile currentframe dmatrices dmatrix "
    "eval evaluate exec execute f_builtins f_globals f_locals format_map from_formula from_query globals "
    "incr_dbspec lambdify locate model_matrix parse_expr query re_evaluate resolve_name runctx safe_substitute "
    "sql sqldf substitute sympify timeit __globals__".split()
)
_RUNNING = {"compile", "eval", "exec", "repeat", "runctx", "timeit"}
# They take attributes by names.
_TAKING = {"__getattribute__", "attrgetter", "getattr", "hasattr", "methodcaller"}
_RESOLVING = {"ForwardRef", "eval_str", "evaluate_forward_ref", "get_type_hints"}
_CALLERS = {"f_back", "getouterframes", "stack"}

_NAME = re.compile(r"[^\W\d]\w*")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_MOST_TEXTS = 20_000  # the names in which are remembered: libraries have the same ones again and again
_MOST_ITEMS, _LONGEST, _DEEPEST = 1000, 20_000, 4


class Texts:
    """Adds to a graph what names in strings lead to."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._done: set[tuple[int, str]] = set()
        self._tried: set[tuple[int, str, bool]] = set()
        self._trials: Trials | None = None

    def add(self) -> None:
        """Add what the strings met so far lead to, and is not there yet."""
        graph = self.graph
        names = graph.names
        if not names.isdisjoint(_TAKING):
            for _, _, texts in graph.texts:
                for text in texts:
                    if len(text) < 200 and _DOTTED.fullmatch(text):
                        names.update(text.split("."))
        looking = looks_up(names)
        places = _by_names(self._places()) if looking else {}
        for node, function, texts in list(graph.texts):
            for text in texts:
                key = id(function), text, looking
                if key not in self._tried:
                    self._tried.add(key)
                    self._look(node, function, text, places, looking)
        if not names.isdisjoint(_RESOLVING):
            self._annotations()

    def _places(self) -> list[FunctionType]:
        """Return the functions among whose globals names may be looked up, one of each module."""
        every = not self.graph.names.isdisjoint(_CALLERS)
        found = {}
        for _, function, _ in self.graph.texts:
            if every or looks_up(inspect_code(function.__code__).names):
                found[id(function.__globals__)] = function
        return list(found.values())

    def _look(self, node: Node, function: FunctionType, text: str, places: Places, looking: bool) -> None:
        found: list[tuple[int, str, FunctionType]] = []
        for name in set(_NAME.findall(text)):
            if name in function.__globals__:
                found.append((-1, name, function))
            found += [
                (number, name, place)
                for number, place in places.get(name, ())
                if place.__globals__ is not function.__globals__
            ]
        if found and (looking or _is_expression(text)):
            chains = {name: sorted(_chains(text, name)) for name in {name for _, name, _ in found}}
            for _, name, place in sorted(found, key=_order):
                for attributes in chains[name]:
                    self._add(node, place, Read("global", name, attributes))
        if looking and not self.graph.names.isdisjoint(_RUNNING):
            names, imports = named_when_run(text)
            self.graph.names |= names
            for read in imports:
                self._add(node, function, read)

    def _annotations(self) -> None:
        for node in list(self.graph.nodes):
            subject: Any = node.subject
            if not isinstance(subject, FunctionType | type) or (id(subject), "annotations") in self._done:
                continue
            self._done.add((id(subject), "annotations"))
            place = subject if isinstance(subject, FunctionType) else _method_of(subject)
            for text in getattr(subject, "__annotations__", {}).values():
                if isinstance(text, str) and place is not None:
                    self._look(node, place, text, {}, True)

    def _add(self, node: Node, place: FunctionType, read: Read) -> None:
        from offload.identity.functions.members import read_from
        from offload.identity.functions.trials import Trials

        key = id(place.__globals__), ".".join((read.name, *read.attributes))
        if key in self._done:
            return
        self._done.add(key)
        self.graph._at = node
        where = f"{node.label}: {key[1]} in a string"
        try:
            if read.kind == "global" and isinstance(value := place.__globals__[read.name], FunctionType | type):
                # What has no identity is no reason to refuse it: perhaps nobody looks it up.
                self._trials = self._trials or Trials(self.graph)
                self._trials.follow(value)
            found = read_from(self.graph, place, read, where)
        except (EncodeError, IdentityError):
            found = ["unknown"]
        node.content.append(["asked", f"string {key[1]}", found])


def _by_names(places: Iterable[FunctionType]) -> Places:
    """Return the functions among whose globals each name is, with their places in the order."""
    found: Places = {}
    for number, place in enumerate(places):
        for name in place.__globals__:
            found.setdefault(name, []).append((number, place))
    return found


def _order(one: tuple[int, str, FunctionType]) -> tuple[int, str]:
    return one[:2]


def looks_up(names: set[str]) -> bool:
    """Tell whether code with these names in it may look up names in text."""
    return not names.isdisjoint(_LOOKING_UP)


def strings_in(value: object, depth: int = 0) -> Iterator[str]:
    """Yield the strings in a constant or value, as far as they are not too many or too long."""
    if isinstance(value, str):
        if 0 < len(value) <= _LONGEST:
            yield value
    elif depth == _DEEPEST:
        return
    elif isinstance(value, dict):
        yield from strings_in([*value.values()] if len(value) <= _MOST_ITEMS else [], depth)
    elif type(value) in (list, tuple, set, frozenset) and len(value) <= _MOST_ITEMS:  # type: ignore[arg-type]
        items: Iterable[object] = value  # type: ignore[assignment]
        for item in items:
            if isinstance(item, str | tuple | list | dict):
                yield from strings_in(item, depth + 1)


def _chains(text: str, name: str) -> set[tuple[str, ...]]:
    """Return the attributes that stand after a name in a text, each way that it stands there."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(name)}((?:\.[^\W\d]\w*)*)")
    chains = {tuple(part for part in found.split(".") if part) for found in pattern.findall(text)}
    return chains or {()}


def _is_expression(text: str) -> bool:
    """Tell whether a text is an expression of more than a name, as formulas and queries are."""
    if _DOTTED.fullmatch(text.strip()) or not re.search(r"[@~+*/<>=(&|%-]", text):
        return False
    import ast

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the text compares
            tree = ast.parse(text.strip().replace("@", "").replace("~", "+"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return not isinstance(tree.body, ast.Constant | ast.Name | ast.Attribute)


@lru_cache(_MOST_TEXTS)
def named_when_run(text: str) -> tuple[frozenset[str], tuple[Read, ...]]:
    """Return the names in a text, were it run as code, and what it would import. Of words, nothing is compiled.

    Examples
    --------
    >>> sorted(named_when_run("limits.RATE")[0]), sorted(named_when_run("no code")[0])
    (['RATE', 'limits'], [])
    """
    if text.isascii() and _DOTTED.fullmatch(text):
        words = frozenset(text.split("."))
        if words.isdisjoint(BY_NAME) and not any(map(iskeyword, words)):
            return words, ()
    code = _compiled(text)
    if code is None:
        return frozenset(), ()
    found = inspect_code(code)
    return frozenset(found.names), tuple(read for read in found.reads if read.kind in ("import", "load"))


def _compiled(text: str) -> CodeType | None:
    import textwrap

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = textwrap.dedent(text).strip()
            code = compile(text, "<string>", "exec", dont_inherit=True)
            # Whoever runs it may use each variable after it.
            return compile("\n".join([text, *code.co_names]), "<string>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _method_of(cls: type) -> FunctionType | None:
    return next((member for member in vars(cls).values() if isinstance(member, FunctionType)), None)
