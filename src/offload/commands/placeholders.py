"""Placeholders: one command line for many arguments, or for many rows of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence

_pattern: re.Pattern[str] | None = None


def uses(words: Iterable[str], columns: int = 1) -> bool:
    """Return whether any of the words holds a placeholder that stands for something, with so many columns."""
    return any(
        "{}" in word or "{#}" in word or any(_stands(match, columns) for match in _placeholder().finditer(word))
        for word in words
        if "{" in word
    )


def expand(word: str, row: Sequence[str], number: int) -> str:
    """Return a word with its placeholders filled in, once: what an argument contains is not looked at again.

    Parameters
    ----------
    word : str
        Any word. ``{3}`` stays as it is where there is no third column: it may be part of a pattern.
    row : sequence of str
        The argument, or one of each column: ``{}`` stands for all of them, with spaces between.
    number : int
        Which row it is, for ``{#}``.

    Examples
    --------
    >>> expand("{/.}-{#}.png", ["data/run1.csv"], 7)
    'run1-7.png'
    >>> [expand(word, ["data/run1.csv"], 7) for word in ("{}", "{.}", "{/}", "{//}")]
    ['data/run1.csv', 'data/run1', 'run1.csv', 'data']
    >>> expand("{2}_{1/.}_{3}.txt", ["in/a.csv", "low"], 1)
    'low_a_{3}.txt'
    """
    if "{" not in word:
        return word
    return _placeholder().sub(lambda match: _value(match, row, number), word)


def expand_words(words: Iterable[str], row: Sequence[str], number: int) -> list[str]:
    """Return the words of a command with their placeholders filled in; a word ``{}`` becomes one for each column.

    Examples
    --------
    >>> expand_words(["join", "{}", "-o", "{1}"], ["a", "b c"], 1)
    ['join', 'a', 'b c', '-o', 'a']
    """
    return [
        filled
        for word in words
        for filled in (row if word == "{}" else (word,) if "{" not in word else (expand(word, row, number),))
    ]  # fmt: skip


def _placeholder() -> re.Pattern[str]:
    """Return the pattern of all placeholders; most commands have none but ``{}``, and do without the module for it."""
    global _pattern
    if _pattern is None:
        import re

        _pattern = re.compile(r"\{([1-9][0-9]*)?(|\.|/|//|/\.)\}|\{#\}")
    return _pattern


def _stands(match: re.Match[str], columns: int) -> bool:
    return match[1] is None or int(match[1]) <= columns


def _value(match: re.Match[str], row: Sequence[str], number: int) -> str:
    if match[2] is None:
        return str(number)
    if not _stands(match, len(row)):
        return match[0]
    chosen = row if match[1] is None else [row[int(match[1]) - 1]]
    return " ".join(_part(match[2], argument) for argument in chosen)


def _part(part: str, argument: str) -> str:
    if not part:
        return argument
    directory, _, name = argument.rpartition("/")
    if part == "/":
        return name
    if part == "//":
        return directory or ("/" if argument.startswith("/") else ".")
    stem, dot, _ = name.rpartition(".")
    stem = stem if dot and stem else name
    return stem if part == "/." else argument[: len(argument) - len(name)] + stem
