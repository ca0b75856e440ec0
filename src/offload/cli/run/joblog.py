"""``offload run --joblog FILE``: a line for each of many commands, as GNU parallel writes it."""

from __future__ import annotations

import time

from offload.commands.request import quote
from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.running.executor import Job

HEADER = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
RECALLED = "recalled"
"""Stands in the column of the host for a command that did not run."""


class JobLog:
    """The file.

    Parameters
    ----------
    path : str
        It is written anew; with a ``+`` before it, added to.
    host : str
        Stands for where the commands run: ``:`` is here.

    Raises
    ------
    UsageError
        If it cannot be written.
    """

    def __init__(self, path: str, host: str) -> None:
        name = path.removeprefix("+")
        try:
            self._file = open(name, "a" if name != path else "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"--joblog {name}: {error.strerror}") from error
        self._host = host
        if not self._file.tell():
            self._file.write(HEADER)
            self._file.flush()

    def write(self, number: int, job: Job, exit_code: int) -> None:
        """Write the line of a command that has ended, or was recalled."""
        recalled, execution = job.state == "recalled", job.execution
        started = time.time() if execution is None else execution.started
        seconds = 0.0 if execution is None else execution.seconds
        received = 0 if execution is None else execution.stdout.size
        code, number_of_signal = (0, exit_code - 128) if exit_code > 128 else (exit_code, 0)
        words = quote(job.plan.request.argv).replace("\t", " ").replace("\n", " ")
        host = RECALLED if recalled else self._host
        row = (number, host, f"{started:.3f}", f"{seconds:9.3f}", 0, received, code, number_of_signal, words)
        self._file.write("\t".join(map(str, row)) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
