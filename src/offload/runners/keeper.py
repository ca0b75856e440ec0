"""The thread of a worker that starts runners, passes on what they print, and looks after them."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import threading
import time
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from offload.errors import WorkerLostError
from offload.runners.link import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.transport.python import Python

logger = logging.getLogger("distributed.worker")

LOOK_SECONDS = 0.1


class Keeper:
    """Starts runners in one thread, which lives as long as they do: Linux ends them with the thread that started them.

    Parameters
    ----------
    look : callable
        Called several times a second.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._asked: SimpleQueue[tuple[Future[Link], Python | None]] = SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._waking, self._wakes = os.pipe()
        os.set_blocking(self._waking, False)
        self._selector.register(self._waking, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="offload-runners", daemon=True)
        self._next_look = 0.0
        self._lock = threading.Lock()
        self._ends = False
        self._thread.start()

    def start(self, python: Python | None = None) -> Future[Link]:
        """Have a runner started, with another Python than this process's where one is given."""
        asked: Future[Link] = Future()
        with self._lock:
            if self._ends:
                asked.set_exception(_ended())
            else:
                self._asked.put((asked, python))
                os.write(self._wakes, b".")
        return asked

    def forget(self, link: Link) -> None:
        """Read no more from a runner."""
        for pipe in link.pipes:
            with contextlib.suppress(KeyError):
                self._selector.unregister(pipe)

    def end(self) -> None:
        """End the thread; whoever waits for a runner is told."""
        with self._lock:
            if self._ends:
                return
            self._ends = True
            os.write(self._wakes, b".")
        self._thread.join()
        with contextlib.suppress(Empty):
            while True:
                self._asked.get_nowait()[0].set_exception(_ended())
        self._selector.close()
        os.close(self._waking)
        os.close(self._wakes)

    def _run(self) -> None:
        while not self._ends:
            try:
                self._turn()
            except Exception:  # without this thread, no limit would hold, and new runners would be waited for
                logger.exception("the processes of calls cannot be looked after")
                time.sleep(LOOK_SECONDS)

    def _turn(self) -> None:
        for key, _ in self._selector.select(LOOK_SECONDS):
            if key.data is not None:
                self._forward(key.data, key.fd)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._waking, 4096)
        with contextlib.suppress(Empty):
            while not self._ends:
                self._start(*self._asked.get_nowait())
        if time.monotonic() >= self._next_look and not self._ends:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._look()

    def _forward(self, link: Link, pipe: int) -> None:
        if link.forward(pipe):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(pipe)  # it has ended

    def _start(self, asked: Future[Link], python: Python | None) -> None:
        try:
            link = Link(python)
        except BaseException as exc:
            asked.set_exception(exc)
            return
        for pipe in link.pipes:
            self._selector.register(pipe, selectors.EVENT_READ, link)
        asked.set_result(link)


def _ended() -> WorkerLostError:
    return WorkerLostError("the worker ends")
