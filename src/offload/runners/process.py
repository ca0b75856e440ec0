"""The process of a runner: takes batches from its worker, one at a time, and writes each outcome down as it is there.

Calls run in its main thread, as a program of the user's would.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import select
import socket
import sys
import threading
import time

from offload.effects.record import Effects
from offload.errors import OffloadError
from offload.identity.libraries import installed
from offload.runners import dask_client, warden
from offload.runners.batch import Listener, flush, run_batch
from offload.runners.call_children import Offspring
from offload.runners.call_start import Moment
from offload.runners.frames import receive, send
from offload.runners.journal import SMALL, Journal
from offload.runners.left_threads import Threads
from offload.runners.metering import Meter
from offload.runners.put_back import Surroundings
from offload.transport import imports
from offload.transport.imports import OtherModulesError
from offload.transport.large_arguments import beside
from offload.transport.load import OutdatedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import NoReturn

    from offload.transport.outcome import Outcome

ENDED, WAITS, DONE, FAILED, OTHER = "ended", "waits", "done", "failed", "other"
LEFT, OUTDATED, READY = "left", "outdated", "ready"
"""What a message to the worker is about: an outcome with a large result; a call that may wait for others; all outcomes
are there; why the batch cannot go on, at all or here; a call has left what cannot be taken back, or something was
installed since the runner has begun, with which it has to end; it can be given a batch."""


ENDING_SECONDS = 2.0
"""How long a runner that runs no call may take for what is to be done at its end."""

CLOSED = 120
"""The exit code of a runner whose call has closed what leads to the worker."""


class LeftError(Exception):
    """A call that failed has left processes, or one has left threads, or what cannot be put back."""


class Sender(Listener):
    """Tells the worker of each call of a batch.

    Parameters
    ----------
    to : socket
        Leads to the worker.
    journal : Journal
        Takes the outcomes.
    moment : Moment
        When the call began that is running.
    """

    def __init__(self, to: socket.socket, journal: Journal, moment: Moment) -> None:
        super().__init__()
        self._to = to
        self._journal = journal
        self._moment = moment
        self._meter = Meter()
        self._offspring = Offspring()
        self._threads = Threads()
        self._watched = True
        self._known = self._described()
        self._before: Surroundings | None = None
        self._sending = threading.Lock()
        self._waits = False

    def _described(self) -> list[tuple[int, int]]:
        """Return what leads to the worker; a call that closes all descriptors may have put its own in their places."""
        try:
            found = [os.fstat(one) for one in (self._to.fileno(), self._journal.descriptor)]
        except OSError:
            return []
        return [(one.st_dev, one.st_ino) for one in found]

    def next_batch(self, tired: bool, watched: bool) -> None:
        """Take note that others may have changed how things are, and whether it is told what calls do."""
        self.tired, self._watched = tired, watched
        self._journal.begin()
        self._waits = False
        self._before = None

    def begins(self, names: Collection[str]) -> None:
        """Take note of how things are, and tell."""
        self._before = self._before or Surroundings(names)
        self._offspring.begin()
        self._threads.begin()
        self._moment.begin()
        self._meter.begin()

    def ended(self, outcome: Outcome) -> None:
        """Make things as they were, and give the outcome back."""
        assert self._before is not None
        if self._described() != self._known:
            os._exit(CLOSED)
        dask_client.end()
        self._meter.end(outcome)
        left = self._leaves_threads(outcome) or not self._before.put_back() or self.leaves
        if outcome.error is not None and self._offspring.is_left:
            left = True
        else:
            self._offspring.end()
        flush()
        self._moment.end()
        if outcome.buffer is None or len(outcome.buffer) <= SMALL:
            self._journal.add(outcome)
        else:
            outcome.buffer = beside(outcome.buffer)
            self.say(ENDED, outcome)
            self._journal.add(None)
        if left:
            raise LeftError

    def _leaves_threads(self, outcome: Outcome) -> bool:
        """Tell whether a call has left threads at work, and take note of it for the user."""
        names = self._threads.left() if self._watched else []
        if names:
            outcome.effects = outcome.effects or Effects()
            outcome.effects.threads = names
        return bool(names)

    def say(self, kind: str, what: object) -> None:
        """Send a message to the worker."""
        with self._sending:
            send(self._to, (kind, what))

    def make_room(self) -> None:
        """Say that what runs may wait for others, once in a batch; any thread of a call does that."""
        self._waits, said = True, self._waits
        if not said:
            self.say(WAITS, None)


def serve(worker: socket.socket, journal: Journal, moment: Moment) -> None:
    """Run batches until the worker is gone."""
    from offload.transport.exceptions import Raised

    sender = Sender(worker, journal, moment)
    while True:
        try:
            batch, where, tired, scheduler = receive(worker)
        except EOFError:
            return
        if scheduler is not None:
            dask_client.serve(scheduler, sender.make_room)
        sender.next_batch(tired, batch.watched)
        try:
            run_batch(batch, where, sender)
            sender.say(DONE, None)
        except LeftError:
            sender.say(LEFT, None)
        except OtherModulesError as exc:
            sender.say(OTHER, exc)
        except Exception as exc:
            if isinstance(exc, OutdatedError) or installed.has_changed():
                sender.say(OUTDATED, None)
            else:  # from code of the user's as it is loaded: nobody else may have to understand it
                sender.say(FAILED, exc if isinstance(exc, OffloadError) else Raised(exc))
        finally:
            batch = None  # its arguments may be large


def _end_with(worker: socket.socket, moment: Moment) -> None:
    """End when the worker does, whatever is running; where no call is, what is to be done at the end gets its time."""
    poll = select.poll()
    poll.register(worker, 0)  # nothing but its end
    poll.poll()
    if not moment.seconds:
        time.sleep(ENDING_SECONDS)
    os._exit(0)


def _end() -> NoReturn:
    """End as a program does, but for threads that it would wait for: functions registered with `atexit` run."""
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
        flush()
    os._exit(0)


def main(descriptor: int, written: int, shared: int, greets: bool = False) -> None:
    """Serve the worker that a descriptor leads to; the others are those of the journal, and of shared memory.

    One of another Python than the worker's `greets` it first: then it has all that a runner needs.
    """
    from offload.runners import child_processes

    sys.argv[:] = ["-c"]
    worker = socket.socket(fileno=descriptor)
    for kept in (descriptor, written):
        os.set_inheritable(kept, False)
    child_processes.allow(guarded=warden.IS_THERE)
    installed.look()
    faulthandler.enable(all_threads=False)
    imports.work_for_others()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.register_at_fork(after_in_child=worker.close)  # else its end would not be seen
    moment = Moment(shared)
    threading.Thread(target=_end_with, args=(worker, moment), name="offload-end", daemon=True).start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the worker is gone
        if greets:
            send(worker, (READY, None))
        moment.is_here()
        serve(worker, Journal(written), moment)
    _end()
