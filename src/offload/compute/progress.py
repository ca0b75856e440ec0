"""How far a batch of futures is, in one line on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from offload.compute.futures import Future

DELAY, INTERVAL, PLAIN_INTERVAL = 0.3, 0.2, 10.0
LONG = 10.0
"""Seconds after which a start that takes long is told to who sees no progress."""

_starting: set[object] = set()
_shown: set[object] = set()


def tell(text: str) -> None:
    """Write a line for the user to standard error, above the line that shows how far something is."""
    over = "\r\x1b[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{over}offload: {text}\n")
    sys.stderr.flush()


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
        show = sys.stderr.isatty()
    if not show or not futures:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_show, args=(futures, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show(futures: Sequence[Future[Any]], stop: threading.Event) -> None:
    began, terminal = time.monotonic(), sys.stderr.isatty()
    if stop.wait(DELAY):
        return
    _shown.add(stop)
    try:
        _show_until(futures, stop, began, terminal)
    finally:
        _shown.discard(stop)


def _show_until(futures: Sequence[Future[Any]], stop: threading.Event, began: float, terminal: bool) -> None:
    while True:
        stopped = stop.wait(INTERVAL if terminal else PLAIN_INTERVAL)
        line = _line(futures, time.monotonic() - began)
        # A terminal's line is written over; elsewhere each stands on its own.
        start, end = ("\r", "\x1b[K") if terminal else ("", "\n")
        sys.stderr.write(f"{start}{line}{end}" + ("\n" if terminal and stopped else ""))
        sys.stderr.flush()
        if stopped:
            return


def _line(futures: Sequence[Future[Any]], seconds: float) -> str:
    done = sum(f.done() for f in futures)
    recalled = sum(1 for f in futures if f.recalled and f.done())
    width, total = 24, len(futures)
    filled = width * done // total
    doing = ", starting workers" if _starting and done < total else ""
    return f"[{'#' * filled}{'.' * (width - filled)}] {done}/{total}, {recalled} recalled, {seconds:.1f} s{doing}"
