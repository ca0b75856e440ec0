"""What a failed command may have missed: files that are in the caller's directory, but were no inputs."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

TAIL = 64 * 1024
MOST = 5

# Programs quote names in many ways; the last four are typographic quotation marks.
_OPEN, _CLOSE = "'\"`\u2018\u201c", "'\"`\u2019\u201d"
_NAME = re.compile(rf"[^\s{_OPEN}{_CLOSE}:;,()\[\]{{}}<>|=]+")
_MODULE = re.compile(r"""No module named ['"]?([\w.]+)""")
_MEMBER = re.compile(r"""cannot import name ['"](\w+)['"] from (?:partially initialized module )?['"]([\w.]+)['"]""")
_QUOTED = re.compile(rf"[{_OPEN}]([^{_CLOSE}\n]+)[{_CLOSE}]")


def missing_inputs(stderr: bytes, known: Collection[str]) -> list[str]:
    """Return names in a command's error output that exist here and were no inputs, likeliest first.

    Parameters
    ----------
    stderr : bytes
        What the command wrote; only its end is looked at.
    known : collection of str
        Normalised paths of the inputs that it had.
    """
    text = os.fsdecode(stderr[-TAIL:])
    found: dict[str, None] = {}
    for word in _candidates(text, known):
        name = os.path.normpath(word)
        if name.startswith(("/", "..")) or name in (".", "") or name in known or "\0" in name:
            continue
        if any(name.startswith(path + "/") for path in known) or not (os.path.isfile(name) or os.path.isdir(name)):
            continue
        found[name] = None
        if len(found) == MOST:
            break
    return list(found)


def _candidates(text: str, known: Collection[str]) -> Iterator[str]:
    modules = [*_MODULE.findall(text), *(f"{package}.{name}" for name, package in _MEMBER.findall(text))]
    # A script imports what lies beside it; `python -m` and -c, what is in the current directory.
    places = dict.fromkeys(["", *(os.path.dirname(path) for path in known)])
    for module in modules:
        top, dot, _ = module.partition(".")
        for place in places:
            yield from (os.path.join(place, name) for name in ((top,) if dot else (f"{top}.py", top)))
    lines = text.splitlines()
    missing = [line for line in lines if "No such file" in line or "not found" in line or "annot open" in line]
    for line in missing or lines:
        yield from _QUOTED.findall(line)
        yield from (word.rstrip(".") for word in _NAME.findall(line))
