"""Whether what a graph looked at is still the same: one question for many names at once, so that it is quick.

A large library has some hundred thousand names, attributes and functions. The loops over them run within built-in
functions, a few nanoseconds for each.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from itertools import repeat
from operator import attrgetter, eq, is_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import FunctionType
    from typing import Any

    Names = tuple[Mapping[Any, Any], object, object]
    Functions = tuple[FunctionType, object, object, object]
    Answer = tuple[Callable[..., object], tuple[Any, ...], object]

MISSING = object()
_CODE = [attrgetter(name) for name in ("__code__", "__defaults__", "__kwdefaults__")]
_ANNOTATIONS = attrgetter("__annotations__")


@contextmanager
def no_collection() -> Iterator[None]:
    """Let Python look for no garbage within a block: in all that is noted of a library that takes half of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Checks:
    """What was looked at, by whom it is asked for.

    Parameters
    ----------
    names : iterable
        Mappings, a name in each, and what was found.
    sizes : iterable
        Mappings, and how many names they had.
    functions : iterable
        Functions with their code and defaults.
    annotated : iterable
        Functions with their annotations.
    answers : iterable
        Questions, with their arguments and answers.
    """

    def __init__(
        self,
        names: Iterable[Names],
        sizes: Iterable[tuple[Mapping[Any, Any], int]],
        functions: Iterable[Functions],
        annotated: Iterable[tuple[FunctionType, tuple[tuple[str, object], ...]]],
        answers: Iterable[Answer],
    ) -> None:
        mappings: dict[int, tuple[Mapping[Any, Any], list[object], list[object]]] = {}
        for mapping, name, found in names:
            _, keys, values = mappings.setdefault(id(mapping), (mapping, [], []))
            keys.append(name)
            values.append(found)
        self._mappings = list(mappings.values())
        self._sizes = _columns(sizes)
        self._functions = _columns(functions)
        self._annotated = _columns(annotated)
        questions: dict[tuple[Any, int], list[Answer]] = {}
        for answer in answers:
            questions.setdefault((answer[0], len(answer[1])), []).append(answer)
        self._questions = [
            (question, _columns(arguments for _, arguments, _ in asked), [answer for *_, answer in asked])
            for (question, _), asked in questions.items()
        ]

    def are_same(self) -> bool:
        """Tell whether all is as it was."""
        for mapping, keys, values in self._mappings:
            if not all(map(is_, map(mapping.get, keys, repeat(MISSING)), values)):
                return False
        if self._sizes and not all(map(eq, map(len, self._sizes[0]), self._sizes[1])):
            return False
        if self._functions:
            functions, *seen = self._functions
            for get, values in zip(_CODE, seen, strict=True):
                if not all(map(is_, map(get, functions), values)):
                    return False
        if self._annotated:
            functions, annotations = self._annotated
            if not all(map(eq, map(tuple, map(dict.items, map(_ANNOTATIONS, functions))), annotations)):
                return False
        return all(all(map(eq, _answers(question, asked), answers)) for question, asked, answers in self._questions)


def _answers(question: Callable[..., object], asked: list[list[Any]]) -> Iterable[object]:
    return map(question, *asked) if asked else (question(),)


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
