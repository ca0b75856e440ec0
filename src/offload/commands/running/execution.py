"""One run of a planned command in its scratch directory."""

from __future__ import annotations

import os
import time

from offload.commands.planning.detect import absent_paths
from offload.commands.running.reaper import guardian
from offload.commands.running.session import (
    GRACE,
    KILL_NOW,
    TICK,
    Limit,
    end_group,
    end_quickly,
    exit_code,
    start,
)
from offload.commands.running.session_members import is_alive
from offload.commands.running.spool import Spool, adopt
from offload.commands.running.staging import Stager, depth_of
from offload.storage.copies import copy_verified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.commands.planning.plan import Plan
    from offload.commands.running.pipes import Sink
    from offload.commands.running.process import Process
    from offload.commands.running.scratch import Scratch
    from offload.commands.running.staging import Copy

LEFTOVERS = "processes that it left running in the background were ended"


class Execution:
    """What came of running a command.

    Parameters
    ----------
    exit_code : int
        As a shell gives it.
    started : float
        Unix time in seconds.
    seconds : float
        How long it took.
    stdout, stderr : Spool
        What it wrote.
    """

    __slots__ = (
        "cpu_seconds", "exit_code", "peak_memory_bytes", "refused", "seconds", "started", "stderr", "stdout",
        "unrecordable",
    )  # fmt: skip

    def __init__(self, exit_code: int, started: float, seconds: float, stdout: Spool, stderr: Spool) -> None:
        self.exit_code = exit_code
        self.started = started
        self.seconds = seconds
        self.stdout = stdout
        self.stderr = stderr
        self.cpu_seconds: float | None = None
        """Processor time that it used, with the processes that it waited for; None where that is not known."""
        self.peak_memory_bytes: int | None = None
        """The most memory that one of them held."""
        self.unrecordable = ""
        """Why the run says nothing about what another run would give; empty when it does."""
        self.refused = False
        """Whether the reader of our own output went away."""


def prepare(plan: Plan, scratch: Scratch, copy: Copy = copy_verified) -> Stager:
    """Make the scratch directory of a command, with its inputs in it; return what knows which they are."""
    scratch.prepare(depth_of([item.path for item in plan.inputs] + plan.request.output_paths))
    stager = Stager(scratch, absent_paths(plan.request.argv), copy, plan.order)
    stager.stage(plan.inputs, plan.request.outputs)
    return stager


def execute(
    plan: Plan,
    scratch: Scratch,
    sinks: tuple[Sink | None, Sink | None],
    say: Callable[[str], None],
    search: str | None = None,
    running: Running | None = None,
) -> Execution:
    """Run a command whose scratch directory is prepared, and pass on its output as it comes.

    Afterwards nothing of its session is left. An open standard input that has ended by then gives the plan
    another identity: that of the whole content.

    Parameters
    ----------
    plan, scratch
        The command, and where it runs.
    sinks : tuple of two callables
        Get stdout and stderr as they come.
    say : callable
        Tells the user what goes on.
    search : str, optional
        The command's PATH, by default that of this process.
    running : Running, optional
        Knows the command while it runs, and may end it.
    """
    from offload.commands.running.pipes import Feed, Pump

    stdin, feeding = os.pipe() if plan.stdin.is_open else (plan.stdin.open(scratch), -1)
    spools = (Spool(lambda: scratch.file("stdout")), Spool(lambda: scratch.file("stderr")))
    started, clock = time.time(), time.monotonic()
    pipes = os.pipe(), os.pipe()
    ours = [reading for reading, _ in pipes]
    theirs = [stdin, *(writing for _, writing in pipes)]
    try:
        process = start(plan.request.argv, plan.executable, scratch, plan.variables(search), theirs, search)
    except BaseException:
        for one in [*ours, *([feeding] if feeding >= 0 else [])]:
            os.close(one)
        raise
    finally:
        for one in theirs:
            os.close(one)
    try:
        if running is not None and not running.add(process):
            end_group(process)
        feed = None if feeding < 0 else Feed(feeding)
        pump = Pump(process, ours, spools, sinks, feed, say)
        limit = Limit(process, plan.request.timeout)
        code = limit.over(exit_code(pump.run()))
        seconds = time.monotonic() - clock
        whole = not pump.cut and settle(process, say)
    except BaseException:
        end_group(process, KILL_NOW)
        raise
    finally:
        guardian.forget(process.pid)
        if running is not None:
            running.remove(process)
    result = Execution(code, started, seconds, *spools)
    result.cpu_seconds, result.peak_memory_bytes = process.cpu_seconds, process.peak_memory_bytes
    result.refused = pump.refused
    if pump.refused:
        result.unrecordable = "its output was not taken to the end"
    elif not whole:
        result.unrecordable = LEFTOVERS
    elif feed is not None and (feed.received or feed.ended):
        if feed.ended and feed.delivered:
            plan.stdin.identity = feed.checksum
            plan.identify(feed.checksum)
        else:
            result.unrecordable = "it read part of a standard input that stays open: --stdin - waits for its end"
    return result


def settle(process: Process, say: Callable[[str], None]) -> bool:
    """Let what an ended command left in its session come to its end, for a moment; then end it.

    Returns
    -------
    bool
        Whether it ended by itself. If not, what the command gave is not all that it would have given.
    """
    deadline = time.monotonic() + GRACE
    told = time.monotonic() + TICK
    while is_alive(process.pid):
        now = time.monotonic()
        if now > deadline:
            end_quickly(process)
            return False
        if now > told:
            say(f"the command has ended; waiting {GRACE:.0f} s for processes that it left running")
            told = deadline + 1
        time.sleep(0.01)
    return True


class Running:
    """The processes that run now, for whoever has to end them all."""

    def __init__(self) -> None:
        from threading import Lock

        self._lock = Lock()
        self._processes: set[Process] = set()
        self.stopping = False

    def add(self, process: Process) -> bool:
        """Add a process; False when everything is to stop, and the process has to be ended by the caller."""
        with self._lock:
            self._processes.add(process)
            return not self.stopping

    def remove(self, process: Process) -> None:
        """Take out a process that has ended."""
        with self._lock:
            self._processes.discard(process)

    def stop(self) -> None:
        """End all processes and their sessions."""
        from threading import Thread

        with self._lock:
            self.stopping = True
            processes = list(self._processes)
        threads = [Thread(target=end_group, args=(process,), daemon=True) for process in processes]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            # Asked for a second time: no more patience.
            for process in processes:
                end_group(process, KILL_NOW)
            raise


def execute_aside(plan: Plan, scratch: Scratch, running: Running, place: str) -> Execution | None:
    """Run a command as `execute` does, but keep its output aside, in files whose paths begin with `place`.

    Returns
    -------
    Execution or None
        None when the command was ended from outside.
    """
    out, err = place + ".out", place + ".err"
    stdin = plan.stdin.open(scratch)
    started, clock = time.time(), time.monotonic()
    try:
        with open(out, "xb") as stdout, open(err, "xb") as stderr:
            streams = stdin, stdout.fileno(), stderr.fileno()
            process = start(plan.request.argv, plan.executable, scratch, plan.variables(), streams)
    finally:
        os.close(stdin)
    try:
        if not running.add(process):
            end_group(process)
        limit = Limit(process, plan.request.timeout)
        code = limit.over(exit_code(process.wait()))
        seconds = time.monotonic() - clock
        running.remove(process)
        whole = settle(process, lambda text: None)
    finally:
        guardian.forget(process.pid)
        running.remove(process)
    if running.stopping:
        return None
    result = Execution(code, started, seconds, adopt(out), adopt(err))
    result.cpu_seconds, result.peak_memory_bytes = process.cpu_seconds, process.peak_memory_bytes
    if not whole:
        result.unrecordable = LEFTOVERS
    return result
