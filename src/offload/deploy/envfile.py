"""The file that `offload up --env-file` writes: what shell scripts source, as long as the deployment is there."""

from __future__ import annotations

import os
import shlex
import sys

from offload.compute.contact import Contact
from offload.compute.places import Place, write_atomically
from offload.deploy.environment import variables
from offload.deploy.security import write_secret
from offload.errors import NotWritableError


def lines(place: Place, contact: Contact) -> list[str]:
    """Return the lines that make a shell use a deployment: names, addresses and paths, no secrets."""
    return [f"export {key}={shlex.quote(value)}" for key, value in variables(place, contact).items()]


def begin(place: Place, contact: Contact, path: str) -> None:
    """Write the file, and have it follow the deployment from now on.

    Raises
    ------
    NotWritableError
        If it cannot be written.
    """
    earlier = _path(place)
    if earlier is not None and earlier != path:
        end(place)
    write_atomically(_note(place), path + "\n")
    try:
        _write(place, contact, path)
    except OSError as exc:
        os.unlink(_note(place))
        raise NotWritableError(f"{path} cannot be written: {exc.strerror}", "give another --env-file") from exc


def refresh(place: Place, contact: Contact) -> None:
    """Write the file again, where there is one, and where it is not right any more; a failure is for the log."""
    path = _path(place)
    if path is not None and _read(path) != _text(place, contact):
        try:
            _write(place, contact, path)
        except OSError as exc:
            _complain(f"{path} cannot be written: {exc.strerror}")


def end(place: Place) -> None:
    """Remove the file, or empty it where it cannot be removed; one that somebody else has written stays."""
    path = _path(place)
    if path is None:
        return
    os.unlink(_note(place))
    if not _read(path).startswith(_mark(place)):
        return
    try:
        os.unlink(path)
    except OSError:
        try:
            os.truncate(path, 0)
        except OSError as exc:
            _complain(f"{path} cannot be emptied: {exc.strerror}")


def _complain(text: str) -> None:
    sys.stderr.write(f"offload: {text}\n")
    sys.stderr.flush()


def _note(place: Place) -> str:
    return os.path.join(place.path, "env-file")


def _path(place: Place) -> str | None:
    return _read(_note(place)).rstrip("\n") or None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _mark(place: Place) -> str:
    return f"# The deployment in {place.path}; written by offload, and removed when it ends.\n"


def _text(place: Place, contact: Contact) -> str:
    return _mark(place) + "".join(f"{line}\n" for line in lines(place, contact))


def _write(place: Place, contact: Contact, path: str) -> None:
    write_secret(path, os.fsencode(_text(place, contact)))
