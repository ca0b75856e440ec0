"""Bringing a deployment whose head has died up again, for as long as somebody waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from _thread import allocate_lock

from offload.errors import DamagedError, NotFoundError
from offload.registry.contact import DOWN, Contact
from offload.storage.retrying import NotUpError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.registry.deployments import Place

SLICE = 1.0
"""Seconds after which who asks is told how far it is."""

SHORTEST, LONGEST = 1.0, 15.0
"""Seconds between the end of a bring-up that has failed and the next one."""

_TAIL = 64 * 1024


def revive(place: Place) -> Contact:
    """Bring a deployment up again, as it was.

    One that somebody has brought down stays so. All threads of a process wait for the same bring-up; those of other
    processes wait for each other.

    Raises
    ------
    NotUpError
        If it is not up yet: ask again. The message says how far it is, or why the last try has failed.
    NotFoundError
        If somebody has brought it down.
    """
    with _lock:
        found = _under_way.get(place.path)
        if found is None:
            found = _under_way[place.path] = _Revival(place)
    contact = found.wait()
    with _lock:
        _under_way.pop(place.path, None)
    return contact


class _Revival:
    """What is done to bring one deployment up, by a process of its own."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = allocate_lock()
        self._next = 0.0
        self._pause = SHORTEST
        self._reason = ""

    def wait(self) -> Contact:
        """Wait for a short while, and return where it is once it is up."""
        with self._lock:
            if self._process is None:
                if time.monotonic() < self._next:
                    raise NotUpError(self._reason)
                # A file, not a pipe: it goes on when this process ends.
                self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has ended
                self._process = self._begin()
            try:
                code = self._process.wait(SLICE)
            except subprocess.TimeoutExpired:
                raise NotUpError(f"its head has died; bringing it up again: {self._last() or 'starting'}") from None
            self._process = None
            said = self._last()
            self._said.close()
            contact = _contact(self._place)
            if code == 0 and contact is not None:
                return contact
            if contact is not None and contact.state == DOWN:
                raise NotFoundError(
                    f"the deployment {self._place.name} is down: {contact.reason}", f"offload up {self._place.name}"
                )
            if not os.path.exists(self._place.spec):
                raise NotFoundError(f"the deployment {self._place.name} has been brought down")
            if code < 0:
                said = f"what brings it up was ended by {signal.Signals(-code).name}"
            self._reason = f"its head has died and does not come up: {said or f'exit code {code}'}; trying again"
            self._next = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST)
            raise NotUpError(self._reason)

    def _begin(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "offload.deploy.lifecycle.restart", self._place.home, self._place.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            env={**os.environ, "OFFLOAD_HOME": self._place.home},
        )

    def _last(self) -> str:
        """Return the last line that it has said."""
        size = os.fstat(self._said.fileno()).st_size
        lines = os.pread(self._said.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace").splitlines()
        told = [line.strip() for line in lines if line.strip()]
        return told[-1] if told else ""


def _contact(place: Place) -> Contact | None:
    try:
        return Contact.read(place.contact)
    except DamagedError:
        return None


_lock = allocate_lock()
_under_way: dict[str, _Revival] = {}


def _forget() -> None:
    """In a child of this process: the bring-ups are the parent's, who alone can wait for them."""
    global _lock, _under_way
    _lock, _under_way = allocate_lock(), {}


os.register_at_fork(after_in_child=_forget)
