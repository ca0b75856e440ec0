"""The text that functions and classes were made from, for code that asks for it."""

from __future__ import annotations

import sys
from hashlib import sha256
from types import CodeType, FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGE = 1000
"""A graph with more nodes is a library's: source text counts file by file, and is looked up quickly to be shown."""

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


def shown_text(subject: Any) -> str | None:
    """Return the text of a function or class for people, found without a parser; None where there is none.

    Where a text within a class goes on to the left of it, the rest of the class is left out.
    """
    import linecache

    file = file_of(subject)
    lines = linecache.getlines(file) if file is not None else []
    if isinstance(subject, FunctionType):
        first, last = subject.__code__.co_firstlineno - 1, _last_line(subject.__code__)
    else:
        first = _line_of_class(subject, lines)
        last = _end_of_block(lines, first)
    return "".join(lines[first:last]) if 0 <= first < len(lines) else None


def _last_line(code: CodeType) -> int:
    """Return the number of the last line that code and the code in it stand on."""
    last = max((end for _, end, _, _ in code.co_positions() if end is not None), default=code.co_firstlineno)
    return max([last, *(_last_line(inner) for inner in code.co_consts if isinstance(inner, CodeType))])


def _line_of_class(cls: type, lines: list[str]) -> int:
    """Return the index of the line where a class begins: the last of its name before its first method; or -1."""
    methods = (member.__code__ for member in vars(cls).values() if isinstance(member, FunctionType))
    file = file_of(cls)
    before = min((code.co_firstlineno for code in methods if code.co_filename == file), default=len(lines))
    name = cls.__name__
    begins = (f"class {name}(", f"class {name}:", f"class {name}[")
    return next((index for index in reversed(range(before)) if lines[index].lstrip().startswith(begins)), -1)


def _end_of_block(lines: list[str], first: int) -> int:
    """Return the index after a block: what comes then is not further to the right than its own first line."""
    if first < 0:
        return first
    margin = _margin(lines[first])
    last = first
    for index in range(first + 1, len(lines)):
        text = lines[index].strip()
        further = _margin(lines[index]) > margin
        if text and not further and text[0] not in "#)]}":
            break
        if text and (further or text[0] != "#"):
            last = index
    return last + 1


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())
