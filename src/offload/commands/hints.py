"""What a failed command may have missed: files that are in the caller's directory, but were no inputs."""

from __future__ import annotations

import os
import re

from offload.commands.request import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

TAIL = 64 * 1024
MOST = 5
MOST_TEXT = 1024 * 1024

# Programs quote names in many ways; the last four are typographic quotation marks.
_OPEN, _CLOSE = "'\"`\u2018\u201c", "'\"`\u2019\u201d"
_NAME = re.compile(rf"[^\s{_OPEN}{_CLOSE}:;,()\[\]{{}}<>|=]+")
_MODULE = re.compile(r"""No module named ['"]?([\w.]+)""")
_MEMBER = re.compile(r"""cannot import name ['"](\w+)['"] from (?:partially initialized module )?['"]([\w.]+)['"]""")
_FRAME = re.compile(r' *File "[^"]*", line [0-9]+, in ')  # of a traceback: "in" is no file
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


def not_passed_on(stderr: bytes, variables: Mapping[str, str]) -> str | None:
    """Return what to say of a module that a command did not find, and that ``PYTHONPATH`` leads to here.

    Parameters
    ----------
    stderr : bytes
        What the command wrote; only its end is looked at.
    variables : mapping
        Those that it was given. What lies in the current directory is an input to be declared, not a place to name.
    """
    given = [place for place in variables.get("PYTHONPATH", "").split(os.pathsep) if place]
    had = {os.path.abspath(place) for place in given}
    wanted = {os.path.abspath(place): None for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place}
    places = [place for place in wanted if place not in had and place != os.getcwd()]
    for module in _MODULE.findall(os.fsdecode(stderr[-TAIL:])):
        top = module.partition(".")[0]
        if any(os.path.exists(f"{place}/{top}{kind}") for place in places for kind in (".py", "/__init__.py", "")):
            value = quoted(os.pathsep.join([*given, *map(_short, places)]))
            what = "not all of it is" if "PYTHONPATH" in variables else "is not"
            return f"PYTHONPATH leads to {top} here, and {what} passed on: --var PYTHONPATH={value}"
    return None


def _short(path: str) -> str:
    """Return a path from here, where it lies here: then it is a copy that the command reads, and no place counts."""
    found = os.path.relpath(path)
    return path if found.startswith(os.pardir) else found


def named_by_words(inputs: Collection[str], words: Iterable[str], outputs: Collection[str] = ()) -> list[str]:
    """Return what texts among the words of a command (``awk``, ``python -c``) quote, as `named_by_scripts`."""
    quotes = [name for word in words if " " in word or "(" in word for name in _QUOTED.findall(word)]
    return list(dict.fromkeys(path for name in quotes for path in _here(name, [*inputs, *outputs])))[:MOST]


def named_by_scripts(inputs: Collection[str], scripts: Iterable[str], outputs: Collection[str] = ()) -> list[str]:
    """Return what the texts of scripts name that is here and was no input: the command has not seen it.

    Parameters
    ----------
    inputs, outputs : collection of str
        Normalised paths that the command had, and made.
    scripts : iterable of str
        Paths of files.
    """
    found: dict[str, None] = {}
    for script in scripts:
        with open(script, "rb") as stream:
            text = stream.read(MOST_TEXT).decode("utf-8", "replace")
        for word in _QUOTED.findall(text) + (_NAME.findall(text) if not script.endswith(".py") else []):
            found.update(dict.fromkeys(_here(word, [*inputs, *outputs])))
    return list(found)[:MOST]


def _here(word: str, known: Collection[str]) -> Iterator[str]:
    """Give the path that a word names, or the directory of a pattern, where that is here and not known."""
    begin = min((word.find(mark) for mark in "*?[{%" if mark in word), default=-1)
    path = os.path.normpath(word if begin < 0 else os.path.dirname(word[:begin]) or "")
    if path in (".", "") or path.startswith(("/", "..")) or "\0" in path or not os.path.exists(path):
        return
    if "/" not in word and not os.path.splitext(path)[1]:  # a common word, perhaps
        return
    if not any(path == one or path.startswith(one + "/") or one.startswith(path + "/") for one in known):
        yield f"{path}/" if os.path.isdir(path) else path


def _candidates(text: str, known: Collection[str]) -> Iterator[str]:
    modules = [*_MODULE.findall(text), *(f"{package}.{name}" for name, package in _MEMBER.findall(text))]
    # A script imports what lies beside it; `python -m` and -c, what is in the current directory.
    places = dict.fromkeys(["", *(os.path.dirname(path) for path in known)])
    for module in modules:
        top, dot, _ = module.partition(".")
        for place in places:
            yield from (os.path.join(place, name) for name in ((top,) if dot else (f"{top}.py", top)))
    lines = [line for line in text.splitlines() if not _FRAME.match(line)]
    missing = [line for line in lines if "No such file" in line or "not found" in line or "annot open" in line]
    for line in missing or lines:
        yield from _QUOTED.findall(line)
        yield from (word.rstrip(".") for word in _NAME.findall(line))
