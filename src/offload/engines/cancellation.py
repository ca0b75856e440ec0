"""Telling workers which calls of theirs nobody waits for any more."""

from __future__ import annotations

import contextlib
import threading
from queue import Empty, SimpleQueue
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Calls = dict[str, set[int]]
    """Calls by the key of their batch, and their places in it."""


class Cancelling:
    """Sends word to workers, from threads of its own: one that is frozen answers late, or never.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    take_back : callable
        Is given the key of a batch that no worker has yet.
    """

    def __init__(self, client: Any, take_back: Callable[[str], None]) -> None:
        self._client = client
        self._take_back = take_back
        self._told: SimpleQueue[tuple[str, int]] = SimpleQueue()
        self._lock = threading.Lock()
        self._runs = False

    def tell(self, key: str, call: int) -> None:
        """Have a call of a batch ended where it runs; those that are cancelled together go together."""
        self._told.put((key, call))
        with self._lock:
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="offload-cancelling", daemon=True).start()

    def _run(self) -> None:
        while True:
            calls: Calls = {}
            with contextlib.suppress(Empty):
                while True:
                    key, call = self._told.get_nowait()
                    calls.setdefault(key, set()).add(call)
            with self._lock:
                if not calls and self._told.empty():
                    self._runs = False
                    return
            # Without its scheduler, a client fails in many ways; what runs there then is waited for by nobody anyhow.
            with contextlib.suppress(Exception):
                self._send(calls)

    def _send(self, calls: Calls) -> None:
        having = {worker: calls.keys() & keys for worker, keys in self._client.processing().items()}
        for worker, keys in having.items():
            if keys:
                told = {key: calls[key] for key in keys}
                threading.Thread(target=self._send_to, args=(worker, told), daemon=True).start()
        for key in calls.keys() - set[str]().union(*having.values()):
            self._take_back(key)

    def _send_to(self, worker: str, calls: Calls) -> None:
        with contextlib.suppress(Exception):  # as above; a worker may have gone, too
            self._client.run(_give_up, calls, workers=[worker])


def _give_up(calls: Calls, dask_worker: Any) -> None:
    pool = getattr(dask_worker, "offload_runners", None)
    if pool is not None:
        for key, places in calls.items():
            pool.give_up(key, places)
