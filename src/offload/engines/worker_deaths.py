"""Why workers end: told by their nannies, which see it, to those whose calls they took with them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any

TOPIC = "offload-worker-ended"
"""The topic of Dask's events about it: each is ``worker``, its address, ``name``, and ``why``."""

REMEMBERED, LATELY = 1000, 10.0


class Deaths:
    """How workers have ended, as far as that has been told.

    Parameters
    ----------
    client : distributed.Client
        Connected to their scheduler.
    """

    def __init__(self, client: Any) -> None:
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._news = threading.Condition()
        client.subscribe_topic(TOPIC, self._take)

    def _take(self, event: tuple[float, dict[str, str]]) -> None:
        told = event[1]
        name = told["name"] if not told["name"].isdigit() else f"worker {told['name']}"
        with self._news:
            for key in (told["worker"], told["name"]):
                self._known[key] = time.monotonic(), f"{name} {told['why']}"
                self._known.move_to_end(key)
            while len(self._known) > 2 * REMEMBERED:
                self._known.popitem(last=False)
            self._news.notify_all()

    def of(self, address: str, name: str, seconds: float = 0.0) -> str:
        """Return how a worker has ended, waited for some seconds; "" where nobody has told.

        One that ended in the moment in which it was started is not known by its address.
        """
        with self._news:
            self._news.wait_for(lambda: address in self._known, seconds)
            when, why = self._known.get(address) or self._known.get(name) or (0.0, "")
            return why if address in self._known or time.monotonic() - when < LATELY else ""
