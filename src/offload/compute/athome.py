"""Where calls keep their results while they run, in a process whose threads may run several at once."""

from __future__ import annotations

import contextlib
import os
import threading

from offload.storage.home import VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


def _set(values: Sequence[str | None]) -> None:
    for name, value in zip(VARIABLES, values, strict=True):
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
