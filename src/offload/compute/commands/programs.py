"""Which file a command's first word stands for."""

from __future__ import annotations

import os

from offload.errors import OffloadError


class CommandNotFoundError(OffloadError):
    """There is no such command."""

    exit_code = 127


class NotExecutableError(OffloadError):
    """The command was found, but cannot be executed."""

    exit_code = 126


def own_program(name: str, search: str | None = None) -> str | None:
    """Return the path of a program that PATH leads to, if it is not one of the system's: those are not looked at."""
    from offload.compute.commands.detect import is_system

    for directory in (search or os.environ.get("PATH", os.defpath)).split(os.pathsep):
        path = f"{directory}/{name}"
        if directory.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return None if is_system(os.path.realpath(directory)) else path
    return None


def resolve(name: str) -> str:
    """Return the path of the file that a command's first word stands for.

    Raises
    ------
    CommandNotFoundError, NotExecutableError
        With exit codes 127 and 126.
    """
    if "/" in name:
        if not os.path.exists(name):
            raise CommandNotFoundError(f"command not found: {name}")
        if os.path.isdir(name) or not os.access(name, os.X_OK):
            raise NotExecutableError(f"{name} is not executable", None if os.path.isdir(name) else f"chmod +x {name}")
        return name
    refused = ""
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        # A relative directory on PATH would mean another place in the scratch directory.
        path = f"{directory}/{name}"
        if directory.startswith("/") and os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            refused = path
    if refused:
        raise NotExecutableError(f"{refused} is not executable", f"chmod +x {refused}")
    hint = f"a file of that name is here: ./{name}" if os.path.isfile(name) else None
    raise CommandNotFoundError(f"command not found: {name}", hint)
