"""The text that functions and classes were made from, for code that asks for it."""

from __future__ import annotations

import sys
from hashlib import sha256
from types import FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_texts: dict[str, tuple[list[str], str]] = {}


def source(subject: Any) -> list[object] | None:
    """Return the lines of a function, class or module, and where they begin; None where there are none."""
    if subject is None:
        return None
    import inspect

    try:
        return list(inspect.getsourcelines(subject))
    except (OSError, TypeError):  # as the code that asks will find
        return None


def file_of(subject: Any) -> str | None:
    """Return the name of the file that holds the text of a function, class or module."""
    if isinstance(subject, FunctionType):
        return subject.__code__.co_filename
    module = subject if isinstance(subject, ModuleType) else sys.modules.get(getattr(subject, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def text_of(file: str) -> str:
    """Return the checksum of a file's lines as they are now."""
    import linecache

    linecache.checkcache(file)
    lines = linecache.getlines(file)
    known = _texts.get(file)
    if known is None or known[0] is not lines:
        known = _texts[file] = lines, sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
    return known[1]
