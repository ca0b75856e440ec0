"""Why workers end: told by their nannies, which see it, to those whose calls they took with them."""

from __future__ import annotations

import signal
import threading
import time
from collections import OrderedDict
from typing import Any

from dask.utils import format_bytes

TOPIC = "offload-worker-ended"
"""The topic of Dask's events about it: each is ``worker``, its address, ``name``, and ``why``."""

REMEMBERED, LATELY = 1000, 10.0

_SIGNALS = {
    signal.SIGSEGV: ", a segmentation fault: code in C went wrong",
    signal.SIGBUS: ": a file that is mapped was cut off, or a disk is full",
    signal.SIGABRT: ": code in C gave up",
    signal.SIGKILL: ": the system does that where memory runs out, else somebody did",
    signal.SIGTERM: ": somebody told it to end",
}


def described(code: int, used: int | None, limit: int | None) -> str:
    """Return how a worker has ended, in words that follow its name.

    Parameters
    ----------
    code : int
        The exit code of its process; of a signal, negative.
    used, limit : int, optional
        How many bytes it used when its nanny ended it because of that, and how many it may use.
    """
    if used is not None:
        more = "" if limit is None else f" of {format_bytes(limit)}"
        return f"was ended because it used {format_bytes(used)}{more}, its memory limit"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"was ended by signal {-code}"
    return f"was ended by signal {-code} ({number.name}){_SIGNALS.get(number, '')}"


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
