"""How whoever started a service learns where it listens: from a status file, for one."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod

from offload.util.files import write_whole


class Status(ABC):
    """Is told how a service is."""

    @abstractmethod
    def write(self, status: str, **more: object) -> None:
        """Tell how things stand: ``running`` (with ``host`` and ``port``), ``stopped`` or ``failed``."""


class StatusFile(Status):
    """A JSON file that is always whole: ``status`` (running, stopped or failed), ``host``, ``port``, ``pid``.

    What else a launcher has written into it stays there.

    Parameters
    ----------
    path : str, optional
        None: there is no file, and nothing is written.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._known: dict[str, object] = {}
        if path is not None and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                try:
                    found = json.load(file)
                except ValueError:
                    found = None  # not ours; written anew
            self._known = found if isinstance(found, dict) else {}

    def write(self, status: str, **more: object) -> None:
        """Tell how things stand."""
        if self._path is None:
            return
        self._known.update(status=status, pid=os.getpid(), **more)
        write_whole(self._path, json.dumps(self._known) + "\n", mode=0o666)
