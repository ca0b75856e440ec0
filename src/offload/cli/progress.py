"""How far many commands have come: one line that is updated in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import os
import time

from offload.cli.output import say
from offload.util.durations import duration

REDRAW = 0.1
LINE_EVERY = 10.0
FEWEST, SOON = 3, 2.0
"""So many have to have run, for so many seconds, before an estimate of the time left means anything."""
NAMES = ("recalled", "computed", "failed", "cancelled")


class Progress:
    """Shows counts on stderr.

    Parameters
    ----------
    total : int
        How many commands there are.
    shown : bool
        False to count only.

    Attributes
    ----------
    counts : dict
        How many have come to each state; whoever counts puts it here.
    """

    def __init__(self, total: int, shown: bool) -> None:
        self.total = total
        self.counts: dict[str, int] = {}
        self._shown = shown
        self._terminal = shown and os.isatty(2)
        self._begun = time.monotonic()
        self._last = self._begun
        self._drawn = False

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun

    def summary(self) -> str:
        """Return the counts in words."""
        done = sum(self.counts.values())
        parts = [f"{self.counts[name]:,} {name}" for name in NAMES if self.counts.get(name)]
        rate = done / self.seconds
        return f"{done:,} of {self.total:,}: {', '.join(parts) or 'none yet'}; {duration(self.seconds)}, {rate:,.0f}/s"

    def left(self) -> str:
        """Return in words how long it may take to the end; nothing while that cannot be told."""
        done = sum(self.counts.values())
        ran = done - self.counts.get("recalled", 0)  # these do not tell how long the others take
        if ran < FEWEST or self.seconds < SOON or done >= self.total:
            return ""
        return f", about {duration(round(self.seconds / ran * (self.total - done)))} left"

    def tick(self) -> None:
        """Show the counts when it is time to."""
        if not self._shown:
            return
        now = time.monotonic()
        if now - self._last < (REDRAW if self._terminal else LINE_EVERY):
            return
        self._last = now
        if self._terminal:
            self._raw(f"\r\x1b[2K{self.summary()}{self.left()}")
            self._drawn = True
        else:
            say(self.summary() + self.left())

    def clear(self) -> None:
        """Make room for other output."""
        if self._drawn:
            self._raw("\r\x1b[2K")
            self._drawn = False

    def end(self) -> None:
        """Show the final counts."""
        self.clear()
        if self._shown:
            say(self.summary())

    @staticmethod
    def _raw(text: str) -> None:
        try:
            os.write(2, text.encode())
        except OSError:
            return
