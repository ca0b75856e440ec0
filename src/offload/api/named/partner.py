"""A process of another environment that makes calls for this one, and is there as long as this one is."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import glob
import importlib
import os
import socket
import subprocess
import threading
import time
from subprocess import _args_from_interpreter_flags as flags_of_this_process  # type: ignore[attr-defined]
from typing import Any

from offload._version import __version__
from offload.api.named.messages import SUBMIT, Answer, Asked, Cancelled, values_of
from offload.errors import EncodeError, OffloadError, UsageError, WorkerLostError
from offload.identity.libraries.distributions import interpreter
from offload.notices import tell
from offload.registry.active import EMBEDDED
from offload.registry.deployments import VARIABLE, Registry
from offload.registry.session import current
from offload.runners import frames, watchdog
from offload.runners.pythons import variables
from offload.tasks.futures import Future
from offload.transport.load import main_name
from offload.transport.pickling import dumps, whole_task
from offload.transport.sources import Found, found_at
from offload.util.exit_status import described
from offload.util.process_usage import is_stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from offload.api.identified import IdentifiedTask

READY, TOO_OLD = "ready", "offload needs Python 3.11 or newer, and this is Python"
OLDEST = 3, 11
_START = f"""
import os, sys
sys.path[:] = [one for one in sys.path if one]
if sys.version_info < {OLDEST}:
    said = "{TOO_OLD} %d.%d" % sys.version_info[:2]
else:
    said = "{READY} %s-%d.%d" % ((sys.implementation.name,) + sys.version_info[:2])
    try:
        from offload._version import __version__
        if __version__ != sys.argv[2]:
            said = "it has offload %s, and this is %s" % (__version__, sys.argv[2])
        else:
            from offload.api.named.process import main
    except ImportError as error:
        said = str(error)
os.write(int(sys.argv[1]), said.encode() + b"\\n")
if said.startswith("{READY} "):
    main(int(sys.argv[1]))
"""
START_SECONDS, END_SECONDS = 120.0, 10.0
STARTING_AFTER = 5.0
"""Seconds after which it is told that one starts."""

LOOK_SECONDS, WAITING_AFTER = 0.5, 2.0
"""Seconds between two looks whether one has been stopped, and until it is told what is waited for; see `watchdog`."""

_lock = threading.Lock()
_partners: dict[str, Partner] = {}
_retired: list[Partner] = []
_registered = False


def partner_of(python: str) -> Partner:
    """Return the process of a Python, which is started where there is none.

    Raises
    ------
    OffloadError
        If it cannot be.
    """
    global _registered
    with _lock:
        if not _registered:
            # Before the executors of this process end: what it has begun is waited for, as other calls are.
            importlib.import_module("concurrent.futures.thread")
            threading._register_atexit(_close)  # type: ignore[attr-defined]
            os.register_at_fork(after_in_child=_leave)
            _registered = True
        found = _partners.get(python)
        if found is not None and not found.is_gone and found.is_outdated():
            _retired.append(found)
            found.retire()
            found = None
        if found is None or found.is_gone:
            found = _partners[python] = Partner(python)
            _retired[:] = [one for one in _retired if not one.is_gone]
        return found


def _close() -> None:
    closed = set[Partner]()
    while left := {*_retired, *_partners.values()} - closed:  # what is lost at the end is made by another one
        for partner in left:
            partner.close()
        closed |= left


def _leave() -> None:
    """In a child of this process: they are the parent's."""
    global _lock
    _lock = threading.Lock()
    _partners.clear()
    _retired.clear()


class Partner:
    """A process that makes calls.

    Parameters
    ----------
    python : str
        What it runs.

    Attributes
    ----------
    is_gone : bool
        Whether it has ended.
    interpreter : str
        What it is, such as ``cpython-3.11``.
    """

    def __init__(self, python: str) -> None:
        self._python = python
        self._socket, theirs = socket.socketpair()
        number = theirs.fileno()
        with theirs:
            self._process = subprocess.Popen(
                [python, *flags_of_this_process(), "-c", _START, str(number), __version__],
                stdin=subprocess.DEVNULL,
                pass_fds=(number,),
                env=variables(),
            )
        self._lock = threading.Lock()
        self._numbers = 0
        self._pending: dict[tuple[int, int], tuple[Future[Any], Asked]] = {}
        self.is_gone = False
        self._given_up = self._retired = self._closed = False
        self._sites = _times(python)
        self._over = threading.Event()
        starting = threading.Timer(STARTING_AFTER, tell, [f"waiting for {python} to start"])
        starting.daemon = True
        starting.start()
        try:
            self.interpreter = self._greeted()
        finally:
            starting.cancel()
        self._listener, watcher = (
            threading.Thread(target=target, name="offload-environment", daemon=True)
            for target in (self._listen, self._watch)
        )
        self._listener.start()
        watcher.start()

    def _greeted(self) -> str:
        """Wait until it is ready; return what it is."""
        said = b""
        self._socket.settimeout(START_SECONDS)
        try:
            while not said.endswith(b"\n") and (more := self._socket.recv(1)):
                said += more
        except TimeoutError:
            self._process.kill()
            said = f"it said nothing for {START_SECONDS:g} s".encode()
        except OSError:  # it has ended, and says below how
            pass
        self._socket.settimeout(None)
        why = said.decode(errors="replace").strip()
        if not why.startswith(f"{READY} "):
            self._socket.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
            self._process.kill()
            why = why or described(self._process.wait(), None, None)
            directory = os.path.dirname(os.path.dirname(self._python))
            hint = f"install offload {__version__} in {directory}, or name a lock file: what is made of that has it"
            if why.startswith(TOO_OLD):
                hint = "make the environment with a newer Python"
            raise OffloadError(f"{self._python} cannot make calls: {why}", hint)
        return why.removeprefix(f"{READY} ")

    def ask(self, what: str, task: IdentifiedTask[..., Any], rows: Sequence[tuple[Any, Any]]) -> list[Future[Any]]:
        """Have calls made; return their futures."""
        futures: list[Future[Any]] = [Future() for _ in rows]
        self.begin(what, task, [(future, *row) for future, row in zip(futures, rows, strict=True)])
        return futures

    def begin(
        self,
        what: str,
        task: IdentifiedTask[..., Any],
        ready: Sequence[tuple[Future[Any], tuple[Any, ...], dict[str, Any]]],
    ) -> None:
        """Have calls made whose futures there are.

        Raises
        ------
        UsageError, IdentityError, EncodeError
            If the function or the arguments cannot be had there.
        """
        asked = self._asked(what, task, [(args, kwargs) for _, args, kwargs in ready])
        self._take(asked, [future for future, _, _ in ready])

    def is_outdated(self) -> bool:
        """Tell whether something was installed for its Python since it was started, or removed."""
        return _times(self._python) != self._sites

    def retire(self) -> None:
        """Take no more calls, and end when those that were begun have ended."""
        with self._lock:
            self._retired = True
            self._let_go()

    def _let_go(self) -> None:
        if self._retired and not self._pending:
            with contextlib.suppress(OSError):  # it has ended
                frames.send(self._socket, None)

    def _take(self, asked: Asked, futures: Sequence[Future[Any]]) -> None:
        if not self._takes(asked, futures):
            partner_of(self._python)._take(asked, futures)

    def _takes(self, asked: Asked, futures: Sequence[Future[Any]]) -> bool:
        """Have calls made; tell whether this one does that, which it does not where it has ended, or is to."""
        with self._lock:
            if self.is_gone or self._retired:
                if self._closed:
                    raise self._ended()
                return False
            self._numbers += 1
            number = self._numbers
            asked = asked._replace(number=number)
            for row, future in enumerate(futures):
                self._pending[number, row] = future, asked
                future.on_cancel = functools.partial(self._cancelled, number, row)
            with contextlib.suppress(OSError):  # it has just ended: who listens to it sees that
                frames.send(self._socket, asked)
        for future in futures:
            if future.cancelled() and future.on_cancel is not None:  # before it could be known that this has to be told
                future.on_cancel(True)
        return True

    def _asked(self, what: str, task: IdentifiedTask[..., Any], rows: Sequence[tuple[Any, Any]]) -> Asked:
        module, qualname = (getattr(task.function, name, None) or "" for name in ("__module__", "__qualname__"))
        found = Found(checked=True)
        is_named = found_at(module, qualname) is task and found.takes(module)
        by_value = None if is_named else self._by_value(task)
        try:
            packed = [dumps(row, found=found) for row in rows]
        except Exception as exc:  # whatever the parts of the arguments may raise
            raise EncodeError(f"the arguments cannot be sent to {self._python}: {exc}", "pass plainer values") from exc
        values = values_of(task.graph())
        place = Registry(current().home.path).active()
        around = {**variables(), VARIABLE: EMBEDDED if place is None else place.name}
        known = module, qualname, found.sources, main_name(), values
        return Asked(0, what, *known, packed, around, os.getcwd(), by_value)

    def _by_value(self, task: IdentifiedTask[..., Any]) -> bytes:
        """Return a task that cannot be found by its name, as in a notebook, in the form in which its code travels."""
        hint = 'define it in a file, and a program\'s own work below if __name__ == "__main__"'
        if self.interpreter != interpreter():
            raise UsageError(
                f"{task.label} cannot be found by its name in another environment, and code goes to none of another "
                f"version of Python: {self.interpreter} in {self._python}, {interpreter()} here",
                hint,
            )
        try:
            return whole_task(task)
        except Exception as exc:  # whatever its parts may raise
            raise UsageError(
                f"{task.label} cannot be found by its name in another environment, nor can it be sent there: {exc}",
                hint,
            ) from exc

    def _listen(self) -> None:
        try:
            while True:
                self._answered(frames.receive(self._socket))
        except (EOFError, OSError):
            pass
        with self._lock:
            self.is_gone = True
            left, self._pending = self._pending, {}
        self._over.set()
        if self._closed:
            _fail([future for future, _ in left.values()], self._ended)
        else:
            self._hand_over(left)

    def _hand_over(self, left: dict[tuple[int, int], tuple[Future[Any], Asked]]) -> None:
        """Have another process make the calls that were begun here: once, and those alone that may have ended this."""
        asked: dict[int, tuple[Asked, list[tuple[int, Future[Any]]]]] = {}
        for (number, row), (future, whole) in left.items():
            if not future.done():
                asked.setdefault(number, (whole, []))[1].append((row, future))
        # What is submitted runs in processes of its own, and goes on together, after the others.
        for whole, rows in sorted(asked.values(), key=lambda one: one[0].what == SUBMIT):
            futures = [future for _, future in rows]
            if whole.lost and not self._given_up:
                _fail(futures, self._ended)
                continue
            try:
                rest = whole._replace(rows=[whole.rows[row] for row, _ in rows], lost=whole.lost or not self._given_up)
                partner_of(self._python)._take(rest, futures)
            except OffloadError as exc:
                _fail(futures, functools.partial(_given, exc))
            if whole.what != SUBMIT and not self._given_up:
                concurrent.futures.wait(futures)

    def _watch(self) -> None:
        """Tell of it when it has been stopped while somebody waits, and replace it in the end."""
        since, steps = 0.0, list[tuple[float, str]]()
        while not self._over.wait(LOOK_SECONDS):
            asked = next((asked for _, asked in list(self._pending.values())), None)
            if asked is None or not is_stopped(self._process.pid):
                since = 0.0
                continue
            if not since:
                since = time.monotonic()
                it = f"process {self._process.pid} of {self._python}"
                told, most = f"{watchdog.TOLD_AFTER:g} s", f"{watchdog.FROZEN_SECONDS:g} s"
                resume = f"to have it go on: kill -CONT {self._process.pid}"
                steps = [
                    (WAITING_AFTER, f"waiting for {it}, which makes the calls of {asked.module}:{asked.qualname}"),
                    (watchdog.TOLD_AFTER, f"{it} has been stopped for {told}, and is replaced after {most} ({resume})"),
                    (watchdog.FROZEN_SECONDS, f"{it} was stopped for {most}, and is replaced"),
                ]
            while steps and time.monotonic() - since > steps[0][0]:
                tell(steps.pop(0)[1])
                if not steps:
                    self._given_up = True
                    self._process.kill()

    def _cancelled(self, number: int, row: int, running: bool) -> None:
        with self._lock, contextlib.suppress(OSError):
            frames.send(self._socket, Cancelled(number, row, running))

    def _answered(self, answer: Answer) -> None:
        future, _ = self._pending.pop((answer.number, answer.row))
        if self._retired:
            with self._lock:
                self._let_go()
        if not future.set_running_or_notify_cancel():
            return
        future.transformation = answer.transformation
        future.effects, future.unrecorded = answer.effects, answer.unrecorded
        if answer.raised is not None:
            future.set_raised(answer.raised)
        elif isinstance(answer.data, (bytes, memoryview)):
            future.set_buffer(bytes(answer.data), bool(answer.recalled))
            future.recalled = answer.recalled
        else:
            future.set_result(answer.data)

    def _ended(self) -> WorkerLostError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        self._process.kill()  # a call may have closed what leads here, and go on
        how = described(self._process.wait(), None, None)
        again = "" if self._closed else ", twice"
        return WorkerLostError(f"the process of {self._python} that makes the calls {how}{again}")

    def close(self) -> None:
        """Let it end what it has begun, and wait for that; after a Ctrl-C, end it."""
        from offload.api.dependents import all_begun, ended_by_interrupt

        try:
            if not self.is_gone and not ended_by_interrupt() and all_begun():
                with self._lock, contextlib.suppress(OSError):
                    frames.send(self._socket, None)
                while not _has_ended(self._process):
                    if not self._pending and is_stopped(self._process.pid):
                        break  # it has nothing left to do
                else:
                    self._listener.join()  # what was lost with it has another one by then
        finally:
            self._closed = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # it sees that, and ends
            if is_stopped(self._process.pid):
                self._process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(END_SECONDS)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Wait a moment for the end of a process; tell whether it has come."""
    try:
        process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _times(python: str) -> list[tuple[str, int]]:
    """Return when entries came into the directories of what is installed for a Python, or left them."""
    prefix = glob.escape(os.path.dirname(os.path.dirname(python)))
    found = sorted(glob.glob(os.path.join(prefix, "lib", "python3*", "site-packages")))
    with contextlib.suppress(OSError):  # one that is being made anew
        return [(site, os.stat(site).st_mtime_ns) for site in found]
    return []


def _given(error: Exception) -> Exception:
    return error


def _fail(futures: Sequence[Future[Any]], error: Callable[[], Exception]) -> None:
    for future in futures:
        if future.set_running_or_notify_cancel():
            future.set_exception(error())
