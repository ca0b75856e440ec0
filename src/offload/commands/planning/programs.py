"""Which file a command's first word stands for."""

from __future__ import annotations

import os

from offload.commands.request import quoted
from offload.errors import OffloadError


class CommandNotFoundError(OffloadError):
    """There is no such command."""

    exit_code = 127


class NotExecutableError(OffloadError):
    """The command was found, but cannot be executed."""

    exit_code = 126


def own_program(name: str, path: str | None = None) -> str | None:
    """Return the path of a program that PATH leads to, if it is not one of the system's: those are not looked at."""
    from offload.commands.planning.detect import is_system

    for directory in (path or search_path()).split(os.pathsep):
        place = f"{os.path.abspath(directory)}/{name}"
        if directory and os.path.isfile(place) and os.access(place, os.X_OK):
            return None if is_system(os.path.realpath(directory)) else place
    return None


def search_path() -> str:
    """Return where programs are looked for: ``PATH``, with the place of each directory that is relative to this one.

    A command runs in another directory, where ``bin`` would be another place. What lies there itself comes first where
    the current directory is named.
    """
    places: list[str] = []
    for part in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if part[:1] in ("", "/"):
            places.append(part)
        else:
            places += [".", os.path.abspath(part)] if os.path.normpath(part) == "." else [os.path.abspath(part)]
    return os.pathsep.join(places)


def interpreter(program: str, path: str | None = None) -> tuple[str, str] | None:
    """Return what runs a script: as its first line names it, and where that is; None for what is no script."""
    name = named_interpreter(program)
    try:
        return (name, resolve(name, path)) if name else None
    except OffloadError:  # the command will say so
        return None


def named_interpreter(program: str) -> str:
    """Return what runs a script, as its first line names it; "" for what is no script."""
    try:
        with open(program, "rb") as stream:
            line = stream.readline(256)
    except OSError:  # executable, and not to be read
        return ""
    words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
    if words and os.path.basename(words[0]) == "env":
        # env [-S] [NAME=VALUE]... NAME
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return words[0] if words else ""


_BUILTINS = frozenset(
    ". : [[ alias bg bind builtin case cd declare dirs disown eval exec exit export fg for function getopts hash help "
    "history if jobs let local mapfile popd pushd read readonly return select set shift shopt source time times trap "
    "typeset ulimit umask unalias unset until wait while".split()
)


def is_for_shells(name: str) -> bool:
    """Tell whether a shell alone would understand a command's first word."""
    return any(letter in name for letter in _SIGNS) or name in _BUILTINS


_SIGNS = " |;&<>$"


def _shell_hint(name: str) -> str:
    if any(letter in name for letter in _SIGNS):
        return f"a shell understands it: offload run -- sh -c {quoted(name)}"
    if name in _BUILTINS:
        return f"{name} is a part of the shell: offload run -- sh -c '{name} ...'"
    return "functions and aliases of your shell are known to it alone: write what it does, or a script"


def resolve(name: str, path: str | None = None) -> str:
    """Return the path of the file that a command's first word stands for.

    Raises
    ------
    CommandNotFoundError, NotExecutableError
        With exit codes 127 and 126.
    """
    if "/" in name:
        if not os.path.exists(name):
            raise CommandNotFoundError(f"command not found on this machine: {name}", _ELSEWHERE)
        if os.path.isdir(name) or not os.access(name, os.X_OK):
            raise NotExecutableError(f"{name} is not executable", None if os.path.isdir(name) else f"chmod +x {name}")
        return name
    refused = ""
    for directory in (path or search_path()).split(os.pathsep):
        # A relative directory on PATH would mean another place in the scratch directory.
        place = f"{os.path.abspath(directory)}/{name}"
        if directory and os.path.isfile(place):
            if os.access(place, os.X_OK):
                return place
            refused = place
    if refused:
        raise NotExecutableError(f"{refused} is not executable", f"chmod +x {refused}")
    hint = f"a file of that name is here: ./{name}" if os.path.isfile(name) else _shell_hint(name)
    raise CommandNotFoundError(f"command not found: {name}", hint)


_ELSEWHERE = "programs of another machine: offload run --on NAME, where it is, or was brought up with --prologue"
