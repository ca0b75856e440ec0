"""The file that `offload up --env-file` writes: what shell scripts source, as long as a deployment is there.

Several deployments may name the same file: each has a block of lines of its own in it, and whatever else stands there
is left as it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import stat
import sys

from offload.deploy.variables import variables
from offload.errors import NotWritableError, OffloadError
from offload.registry.contact import Contact
from offload.registry.deployments import Place
from offload.registry.locks import alone
from offload.util.files import write_whole

SECONDS = 10.0
"""How long another one may take to write its lines."""


def lines(place: Place, contact: Contact) -> list[str]:
    """Return the lines that make a shell use a deployment: names, addresses and paths, no secrets."""
    return [f"export {key}={shlex.quote(value)}" for key, value in variables(place, contact).items()]


def begin(place: Place, contact: Contact, path: str) -> None:
    """Write the lines of a deployment, and have them follow it from now on.

    Raises
    ------
    NotWritableError
        If the file cannot be written.
    """
    earlier = _path(place)
    if earlier is not None and earlier != path:
        end(place)
    write_whole(_note(place), path + "\n")
    try:
        _change(place, path, _block(place, contact))
    except NotWritableError:
        os.unlink(_note(place))
        raise


def refresh(place: Place, contact: Contact) -> None:
    """Write the lines again, where they are not right any more; a failure is for the log."""
    path = _path(place)
    if path is not None and _block(place, contact) not in _read(path):
        try:
            _change(place, path, _block(place, contact))
        except NotWritableError as exc:
            _complain(exc.message)


def end(place: Place) -> None:
    """Take the lines back, and remove the file where nothing else is in it."""
    path = _path(place)
    if path is None:
        return
    os.unlink(_note(place))
    try:
        _change(place, path, "")
    except NotWritableError as exc:
        _complain(exc.message)


def _change(place: Place, path: str, block: str) -> None:
    """Put a block in the place of the one that a deployment has, or behind all others; "" for none."""
    path = os.path.realpath(path)
    try:
        os.stat(os.path.dirname(path))  # the lock would make the directory
        with alone(f"{path}.lock", SECONDS, lambda: None, f"writing {path}"):
            before = _read(path)
            pattern = re.escape(_first(place)) + ".*?" + re.escape(_last(place))
            after, found = re.subn(pattern, lambda _: block, before, flags=re.DOTALL)
            if not found and block:
                after += "\n" * (after != "" and not after.endswith("\n")) + block
            if after.strip():
                _replace(path, after)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
    except (OSError, OffloadError) as exc:
        reason = exc.message if isinstance(exc, OffloadError) else exc.strerror
        raise NotWritableError(f"{path} cannot be written: {reason}", "give another --env-file") from exc


def _replace(path: str, text: str) -> None:
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else None
    write_whole(path, os.fsencode(text), durable=True)
    if mode is not None:
        os.chmod(path, mode)


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


def _first(place: Place) -> str:
    return f"# >>> offload: the deployment in {place.path}; these lines go when it ends\n"


def _last(place: Place) -> str:
    return f"# <<< offload: the deployment in {place.path}\n"


def _block(place: Place, contact: Contact) -> str:
    return _first(place) + "".join(f"{line}\n" for line in lines(place, contact)) + _last(place)
