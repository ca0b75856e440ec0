"""How far a batch of futures is, in one line: on standard error, or below the cell of a notebook."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from offload.notices import messages, tell
from offload.tasks.futures import Future

DELAY, INTERVAL, PLAIN_INTERVAL = 0.3, 0.2, 10.0
LONG = 10.0
"""Seconds after which a start that takes long is told to who sees no progress."""

_starting: set[object] = set()
_shown: set[object] = set()


@contextmanager
def starting() -> Iterator[None]:
    """Say that workers are starting while the block runs: with the progress, or, when it takes long, on its own."""
    mark = object()

    def tell_once() -> None:
        if mark in _starting and not _shown:
            tell("starting workers")

    timer = threading.Timer(LONG, tell_once)
    timer.daemon = True
    _starting.add(mark)
    timer.start()
    try:
        yield
    finally:
        _starting.discard(mark)
        timer.cancel()


@contextmanager
def following(futures: Sequence[Future[Any]], show: bool | None) -> Iterator[None]:
    """Show how far the futures are while the block runs; nothing when it takes a moment only."""
    if show is None:
        show = messages().isatty() or _is_notebook()
    if not show or not futures:
        yield
        return
    stop = threading.Event()
    # A kernel knows by the context which cell it is that shows something.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(_show, futures, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show(futures: Sequence[Future[Any]], stop: threading.Event) -> None:
    began = time.monotonic()
    if stop.wait(DELAY):
        return
    interval, write = _screen()
    stopped = False
    _shown.add(stop)
    try:
        while not stopped:
            stopped = stop.wait(interval)
            write(_line(futures, time.monotonic() - began), stopped)
    finally:
        _shown.discard(stop)


def _screen() -> tuple[float, Callable[[str, bool], None]]:
    """Return how often the line is written, and what writes it: over the one before, where that can be."""
    if messages().isatty():
        return INTERVAL, _to_terminal
    return (INTERVAL, _Notebook()) if _is_notebook() else (PLAIN_INTERVAL, _to_file)


def _to_terminal(line: str, last: bool) -> None:
    messages().write(f"\r{line}\x1b[K" + ("\n" if last else ""))
    messages().flush()


def _to_file(line: str, last: bool) -> None:
    messages().write(f"{line}\n")
    messages().flush()


def _is_notebook() -> bool:
    """Return whether what is written goes to the front end of a Jupyter kernel."""
    streams = sys.modules.get("ipykernel.iostream")
    return streams is not None and isinstance(sys.stderr, streams.OutStream)


class _Notebook:
    """Writes to an output of the cell, which is replaced each time: a saved notebook holds the last line only."""

    def __init__(self) -> None:
        self._output: Any = None

    def __call__(self, line: str, last: bool) -> None:
        from IPython import display

        front: Any = display  # without types
        shown = {"text/plain": line}
        if self._output is None:
            self._output = front.display(shown, raw=True, display_id=True)
        else:
            self._output.update(shown, raw=True)


def _line(futures: Sequence[Future[Any]], seconds: float) -> str:
    done = sum(f.done() for f in futures)
    recalled = sum(1 for f in futures if f.recalled and f.done())
    width, total = 24, len(futures)
    filled = width * done // total
    doing = ", starting workers" if _starting and done < total else ""
    return f"[{'#' * filled}{'.' * (width - filled)}] {done}/{total}, {recalled} recalled, {seconds:.1f} s{doing}"
