"""What a process has beside its modules, put back after each call: a recalled call changes nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from _signal import getsignal  # type: ignore[import-not-found]  # that of `signal` makes enumerations of all, which takes its time
from typing import Any

from offload.runners.process_state import Kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_SIGNALS = sorted(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))

_environment: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # compared without being decoded


class Surroundings:
    """The umask, the working directory, the import path, the environment, handlers of signals, standard streams, and
    what :mod:`offload.runners.process_state` has.

    Parameters
    ----------
    names : collection of str
        All that the code of the calls names.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._directory = _directory()
        self._path = list(sys.path)
        self._environ = dict(_environment)
        self._handlers: list[Any] = list(map(getsignal, _SIGNALS))
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._states = Kept(names)

    def put_back(self) -> bool:
        """Make all of it what it was; tell whether it is."""
        os.umask(self._umask)
        if _directory() != self._directory:
            with contextlib.suppress(OSError):  # it may be gone
                os.chdir(self._directory)
        if sys.path != self._path:
            sys.path[:] = self._path
        if _environment != self._environ:
            for name in _environment.keys() - self._environ.keys():
                del os.environb[name]
            os.environb.update(self._environ)
        if (handlers := list(map(getsignal, _SIGNALS))) != self._handlers:
            for number, handler, before in zip(_SIGNALS, handlers, self._handlers, strict=True):
                if handler != before:
                    signal.signal(number, before)
        sys.stdin, sys.stdout, sys.stderr = self._streams
        return self._states.put_back()


def _directory() -> bytes:
    try:
        return os.getcwdb()
    except OSError:  # it has been removed
        return b""
