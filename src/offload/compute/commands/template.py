"""Placeholders: one command line for many arguments."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PLACEHOLDER = re.compile(r"\{(?:|\.|/|//|/\.|#)\}")


def uses(words: Iterable[str]) -> bool:
    """Return whether any of the words holds a placeholder."""
    return any(_PLACEHOLDER.search(word) for word in words)


def expand(word: str, argument: str, number: int) -> str:
    """Return a word with its placeholders filled in, once: what an argument contains is not looked at again.

    Examples
    --------
    >>> expand("{/.}-{#}.png", "data/run1.csv", 7)
    'run1-7.png'
    >>> [expand(word, "data/run1.csv", 7) for word in ("{}", "{.}", "{/}", "{//}")]
    ['data/run1.csv', 'data/run1', 'run1.csv', 'data']
    """
    if "{" not in word:
        return word
    return _PLACEHOLDER.sub(lambda match: _value(match.group(), argument, number), word)


def _value(placeholder: str, argument: str, number: int) -> str:
    if placeholder == "{}":
        return argument
    if placeholder == "{#}":
        return str(number)
    directory, _, name = argument.rpartition("/")
    if placeholder == "{/}":
        return name
    if placeholder == "{//}":
        return directory or ("/" if argument.startswith("/") else ".")
    stem, dot, _ = name.rpartition(".")
    stem = stem if dot and stem else name
    return stem if placeholder == "{/.}" else argument[: len(argument) - len(name)] + stem
