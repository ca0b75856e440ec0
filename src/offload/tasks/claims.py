"""Waiting for what another process or thread is computing already, instead of computing it as well.

What runs for a batch, or within another call, never waits: whoever sent the batch holds claims of calls that have not
begun, and these may be behind the one that would wait; a call may hold a lock of the user's. Nobody waits for long for
a thread of this process that stands still: it may wait for a lock that the one who waits for it holds.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from contextvars import ContextVar
from math import nan

from offload.errors import UsageError
from offload.notices import messages
from offload.storage.claims import UNKNOWN
from offload.transport.importing import is_importing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from offload.registry.session import Session
    from offload.storage.claims import Claims

TELL_AFTER = 2.0
STANDSTILL = 10.0
"""Seconds without any work after which a thread is not waited for."""

MOST, VARIABLE = 86400.0, "OFFLOAD_WAIT_SECONDS"
"""Seconds after which what another process computes is computed here, too, and the variable that sets others."""

SHORTEST, LONGEST = 0.001, 0.05  # between two looks at a claim, in seconds

_mine: ContextVar[tuple[str, ...]] = ContextVar("mine", default=())
_state = threading.local()


@contextlib.contextmanager
def claimed(
    session: Session,
    transformation: str,
    what: str,
    say: Callable[[str], None] | None = None,
    waits: bool = True,
) -> Iterator[bool]:
    """Claim a transformation while it is computed, or wait until another has computed it.

    Parameters
    ----------
    session : Session
        Where it is recorded.
    transformation : str
        Its checksum.
    what : str
        What it is called, for the user.
    say : callable, optional
        Tells the user what is waited for; by default on standard error.
    waits : bool
        False for what is wanted anew, whatever others compute.

    Yields
    ------
    bool
        Whether it has been recorded since the caller looked it up.
    """
    claims = session.claims
    taken = claims.take(transformation)
    if not taken and waits:
        wait(claims, transformation, what, say or tell)
    with _held(claims, transformation, taken):
        yield waits and session.database.lookup([transformation])[0] is not None


@contextlib.asynccontextmanager
async def claimed_async(session: Session, transformation: str, what: str, waits: bool = True) -> AsyncIterator[bool]:
    """Do what `claimed` does in a coroutine."""
    claims = session.claims
    taken = claims.take(transformation)
    asyncio = sys.modules.get("asyncio")
    if not taken and waits and asyncio is not None and asyncio._get_running_loop() is not None:
        waited = _Wait(claims, transformation, what, tell, blocking=False)
        while waited.goes_on():
            await asyncio.sleep(waited.pause())
    with _held(claims, transformation, taken):
        yield waits and session.database.lookup([transformation])[0] is not None


def wait(
    claims: Claims,
    transformation: str,
    what: str,
    say: Callable[[str], None],
    given_up: Callable[[], bool] = lambda: False,
) -> None:
    """Wait until nobody has claimed a transformation, its holder cannot go on, or the wait is given up or too long."""
    waited = _Wait(claims, transformation, what, say)
    while waited.goes_on() and not given_up():
        time.sleep(waited.pause())


def never_wait() -> None:
    """Let calls of this thread not wait: others depend on it."""
    _state.busy = True


@contextlib.contextmanager
def _held(claims: Claims, transformation: str, taken: bool) -> Iterator[None]:
    token = _mine.set((*_mine.get(), transformation))
    try:
        yield
    finally:
        _mine.reset(token)
        if taken:
            claims.release(transformation)


class _Wait:
    """A wait for the holder of a claim, which is looked at ever less often."""

    def __init__(
        self, claims: Claims, transformation: str, what: str, say: Callable[[str], None], blocking: bool = True
    ) -> None:
        self._claims = claims
        self._transformation = transformation
        self._what = what
        self._say = say
        self._blocking = blocking
        self._pause = SHORTEST
        self._most = most()
        self._until = time.monotonic() + self._most
        self._tell_at: float | None = time.monotonic() + TELL_AFTER
        self._worked: tuple[float, list[bytes]] = (time.monotonic(), [])

    def pause(self) -> float:
        """Return for how many seconds to sleep now."""
        self._pause, pause = min(self._pause * 1.5, LONGEST), self._pause
        return pause

    def goes_on(self) -> bool:
        """Tell whether to wait still; say for whom, when that takes long."""
        holder = self._claims.holder(self._transformation)
        if holder is None or not may_wait_for(holder, self._transformation, self._blocking):
            return False
        if self._tell_at is not None and time.monotonic() > self._tell_at:
            self._tell_at = None
            self._say(told(self._what, holder))
        if time.monotonic() > self._until:
            self._say(too_long(self._what, holder, self._most))
            return False
        return not self._blocking or not self._stands_still()

    def _stands_still(self) -> bool:
        """Tell whether the thread of this process that has the claim has done nothing for some seconds."""
        thread = self._claims.thread(self._transformation)
        if thread is None:
            return False
        used = _stat(f"self/task/{thread}")[11:13]  # the time that it has had
        now, known = time.monotonic(), self._worked
        if used != known[1]:
            self._worked = now, used
            return False
        return now - known[0] > STANDSTILL


def most() -> float:
    """Return for how many seconds others are waited for.

    Raises
    ------
    UsageError
        If the user has set something else.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return MOST
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if seconds >= 0:
        return seconds
    raise UsageError(f"{VARIABLE}={text} is not a number of seconds", "write it as 600")


def told(what: str, holder: int) -> str:
    """Return the line that says for whom is waited."""
    return f"{what}: {_who(holder)} is computing it already; waiting for that (Ctrl-C ends the wait)"


def too_long(what: str, holder: int, seconds: float) -> str:
    """Return the line that says for whom is waited no longer."""
    return f"{what}: {_who(holder)} has not computed it in {seconds:g} s ({VARIABLE}); computing it here, too"


def _who(holder: int) -> str:
    return "another thread" if holder == os.getpid() else f"process {holder}" if holder else "another process"


def may_wait_for(holder: int, transformation: str, blocking: bool = True) -> bool:
    """Tell whether the holder of a claim can go on while this thread waits for it.

    Parameters
    ----------
    holder : int
        Its process id, as :meth:`offload.storage.claims.Claims.holder` gives it.
    transformation : str
        What it has claimed.
    blocking : bool
        Whether the wait stops this thread, with the event loop that it may run.
    """
    from offload.tasks.inside import inside

    if _mine.get() or getattr(_state, "busy", False) or inside() or is_importing():
        return False
    asyncio = sys.modules.get("asyncio")
    if blocking and asyncio is not None and asyncio._get_running_loop() is not None:
        return False
    return holder == os.getpid() or may_go_on(holder)


def may_go_on(holder: int) -> bool:
    """Tell whether a process, of another user or container perhaps, neither is stopped nor waits for this one."""
    return holder == UNKNOWN or not (_is_stopped(holder) or _is_ancestor(holder))


def _is_stopped(process: int) -> bool:
    return _stat(process)[:1] in ([b"T"], [b"t"])


def _is_ancestor(process: int) -> bool:
    """Tell whether a process waits, perhaps, for this one, which it has started."""
    parent = os.getppid()
    while parent > 1:
        if parent == process:
            return True
        fields = _stat(parent)
        parent = int(fields[1]) if len(fields) > 1 else 0
    return False


def _stat(process: int | str) -> list[bytes]:
    """Return the state of a process, its parent and what follows; nothing where the system does not tell."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def tell(text: str) -> None:
    """Tell the user on standard error."""
    messages().write(f"offload: {text}\n")
    messages().flush()
