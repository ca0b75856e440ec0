"""Where files that came from another machine lie here, and where they came from."""

from __future__ import annotations

import os

from offload.identity.values.encode import tell_elsewhere

_prefixes: list[str] = []  # the directories below which files have the paths that they have where they came from


def add(prefix: str) -> None:
    """Take note of a directory below which files are laid out."""
    _prefixes.extend({prefix, os.path.realpath(prefix)})
    tell_elsewhere(original)


def original(text: str) -> str:
    """Return a text with paths as they are where the files came from; others are left as they are.

    Examples
    --------
    >>> original("/home/me/data.csv")
    '/home/me/data.csv'
    """
    for prefix in _prefixes:
        if prefix in text:
            text = text.replace(prefix, "") or os.sep
    return text


def is_laid_out(path: str) -> bool:
    """Tell whether a file came from another machine."""
    return path.startswith(tuple(_prefixes))
