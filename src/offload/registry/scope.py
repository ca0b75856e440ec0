"""Where calls keep their results while they run, in a process whose threads may run several at once."""

from __future__ import annotations

import contextlib
import os
import threading

from offload.storage.home import BUFFERS, DATABASE, DEPLOYMENT, VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from offload.storage.home import Key

_lock = threading.Lock()
_values: list[Sequence[str | None]] = []  # what there was before the first thread came, and what each has set


@contextlib.contextmanager
def at_home(home: Sequence[str]) -> Iterator[None]:
    """Let the environment say where results are kept, until the last thread that needs it has left.

    Parameters
    ----------
    home : tuple of str
        As :attr:`offload.storage.home.Home.key`.
    """
    with _lock:
        if not _values:
            _values.append([os.environ.get(name) for name in VARIABLES])
        _values.append(home)
        _set(home)
    try:
        yield
    finally:
        with _lock:
            _values.remove(home)
            _set(_values[-1])
            if len(_values) == 1:
                _values.clear()


def seen_here(home: Key) -> Key:
    """Return a home as this process uses it: where it was told to go through a storage service, it does.

    A worker on another machine than its head's may see the home's files all the same; those of SQLite are opened on one
    machine only.
    """
    buffers = _before(BUFFERS)
    if not buffers.startswith(DEPLOYMENT):
        return home
    return home[0], buffers, _before(DATABASE), ""


def _before(name: str) -> str:
    """Return what the environment says, or said before threads of this process changed it."""
    with _lock:
        value = _values[0][VARIABLES.index(name)] if _values else os.environ.get(name)
    return value or ""


def _set(values: Sequence[str | None]) -> None:
    for name, value in zip(VARIABLES, values, strict=True):
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
