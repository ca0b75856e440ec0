"""A process of another environment that makes calls for this one, and is there as long as this one is."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import socket
import subprocess
import threading
from subprocess import _args_from_interpreter_flags as flags_of_this_process  # type: ignore[attr-defined]
from typing import Any

from offload._version import __version__
from offload.engines.worker_deaths import described
from offload.errors import EncodeError, OffloadError, UsageError, WorkFailedError
from offload.registry.active import EMBEDDED
from offload.registry.deployments import VARIABLE, Registry
from offload.registry.session import current
from offload.runners import frames
from offload.runners.named.messages import Answer, Asked, Cancelled, values_of
from offload.runners.pythons import variables
from offload.tasks.futures import Future
from offload.transport.load import main_name
from offload.transport.pickling import dumps
from offload.transport.sources import Found, found_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.api.task import Task

READY = "ready"
_START = f"""
import os, sys
sys.path[:] = [one for one in sys.path if one]
said = {READY!r}
try:
    from offload._version import __version__
    if __version__ != sys.argv[2]:
        said = f"it has offload {{__version__}}, and this is {{sys.argv[2]}}"
    else:
        from offload.runners.named.process import main
except ImportError as error:
    said = str(error)
os.write(int(sys.argv[1]), said.encode() + b"\\n")
if said == {READY!r}:
    main(int(sys.argv[1]))
"""
START_SECONDS, END_SECONDS = 120.0, 10.0

_lock = threading.Lock()
_partners: dict[str, Partner] = {}
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
        if found is None or found.is_gone:
            found = _partners[python] = Partner(python)
        return found


def _close() -> None:
    for partner in list(_partners.values()):
        partner.close()


def _leave() -> None:
    """In a child of this process: they are the parent's."""
    global _lock
    _lock = threading.Lock()
    _partners.clear()


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
        self._pending: dict[tuple[int, int], Future[Any]] = {}
        self.is_gone = False
        self._greeted()
        threading.Thread(target=self._listen, name="offload-environment", daemon=True).start()

    def _greeted(self) -> None:
        """Wait until it is ready."""
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
        if why != READY:
            self._socket.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
            self._process.kill()
            why = why or described(self._process.wait(), None, None)
            directory = os.path.dirname(os.path.dirname(self._python))
            raise OffloadError(
                f"{self._python} cannot make calls: {why}", f"install offload {__version__} in {directory}"
            )

    def ask(self, what: str, task: Task[..., Any], rows: Sequence[tuple[Any, Any]]) -> list[Future[Any]]:
        """Have calls made; return their futures."""
        futures: list[Future[Any]] = [Future() for _ in rows]
        self.begin(what, task, [(future, *row) for future, row in zip(futures, rows, strict=True)])
        return futures

    def begin(
        self,
        what: str,
        task: Task[..., Any],
        ready: Sequence[tuple[Future[Any], tuple[Any, ...], dict[str, Any]]],
    ) -> None:
        """Have calls made whose futures there are.

        Raises
        ------
        UsageError, IdentityError, EncodeError
            If the function or the arguments cannot be had there.
        """
        asked = self._asked(what, task, [(args, kwargs) for _, args, kwargs in ready])
        with self._lock:
            if self.is_gone:
                raise self._ended()
            self._numbers += 1
            for row, (future, _, _) in enumerate(ready):
                self._pending[self._numbers, row] = future
                future.on_cancel = functools.partial(self._cancelled, self._numbers, row)
            frames.send(self._socket, asked._replace(number=self._numbers))
        for future, _, _ in ready:
            if future.cancelled() and future.on_cancel is not None:  # before it could be known that this has to be told
                future.on_cancel(True)

    def _asked(self, what: str, task: Task[..., Any], rows: Sequence[tuple[Any, Any]]) -> Asked:
        module, qualname = (getattr(task.function, name, None) or "" for name in ("__module__", "__qualname__"))
        found = Found(checked=True)
        hint = 'define it in a file, and a program\'s own work below if __name__ == "__main__"'
        if found_at(module, qualname) is not task or not found.takes(module):
            raise UsageError(f"{task.label} cannot be found by its name in another environment", hint)
        try:
            packed = [dumps(row, found=found) for row in rows]
        except Exception as exc:  # whatever the parts of the arguments may raise
            raise EncodeError(f"the arguments cannot be sent to {self._python}: {exc}", "pass plainer values") from exc
        values = values_of(task.graph())
        place = Registry(current().home.path).active()
        around = {**variables(), VARIABLE: EMBEDDED if place is None else place.name}
        return Asked(0, what, module, qualname, found.sources, main_name(), values, packed, around, os.getcwd())

    def _listen(self) -> None:
        try:
            while True:
                self._answered(frames.receive(self._socket))
        except (EOFError, OSError):
            pass
        with self._lock:
            self.is_gone = True
            left, self._pending = self._pending, {}
        for future in left.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(self._ended())

    def _cancelled(self, number: int, row: int, running: bool) -> None:
        with self._lock, contextlib.suppress(OSError):
            frames.send(self._socket, Cancelled(number, row, running))

    def _answered(self, answer: Answer) -> None:
        future = self._pending.pop((answer.number, answer.row))
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

    def _ended(self) -> WorkFailedError:
        code = self._process.wait()
        return WorkFailedError(f"the process of {self._python} that makes the calls {described(code, None, None)}")

    def close(self) -> None:
        """Let it end what it has begun, and wait for that; after a Ctrl-C, end it."""
        from offload.api.submit import all_begun, ended_by_interrupt

        try:
            if not self.is_gone and not ended_by_interrupt() and all_begun():
                with self._lock, contextlib.suppress(OSError):
                    frames.send(self._socket, None)
                self._process.wait()
        finally:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # it sees that, and ends
