"""A head that lives no longer than the process that started it: for terminals, supervisors and containers."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Foreground:
    """Starts a head, holds the end of a pipe by which it knows that it is wanted, and waits for its end.

    Attributes
    ----------
    told : bool
        Whether this process has told the head to end.
    """

    def __init__(self) -> None:
        self.told = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], log: str) -> int:
        """Start the head with all its output in a log, and return its process id."""
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [*command, "--attached"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for this process, which then tells the head
                cwd="/",
            )
        return self._process.pid

    def wait(self) -> None:
        """Wait for the end of the head, and bring it about on Ctrl-C, SIGTERM or SIGHUP."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, lambda *_: self.end())
        assert self._process is not None
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def let_go(self) -> None:
        """Tell the head to end, and wait until it has."""
        self.end()
        if self._process is not None:
            self._process.wait()

    def end(self) -> None:
        """Tell the head to end."""
        self.told = True
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
