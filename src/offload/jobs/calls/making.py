"""Calls that a worker's machine has no environment for: kept until it is made there, and sent again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from offload.engines.errands import GoneError
from offload.errors import IdentityError, OffloadError
from offload.transport.environment_error import Machine, OtherEnvironmentError

Make = Callable[[Machine, Callable[[str], None]], tuple[str, ...]]
"""Makes the environment of this process on a machine, tells each step, and returns the names that it goes by; none
where it is not there, and is not to be made."""

MOST_REFUSALS = 5
"""So often a call is refused by one machine, where the environment is said to be there, until it fails."""

FAILED_SECONDS = 60.0
"""For how long nothing is tried on a machine where the environment could not be made."""

_Place = tuple[str, str]  # the name of a machine, and its directory of environments


def not_made(machine: Machine, say: Callable[[str], None]) -> tuple[str, ...]:
    """Make nothing."""
    raise OffloadError("nothing makes environments here")


class Making:
    """Has environments made.

    Parameters
    ----------
    make : callable
        Makes one.
    again : callable
        Sends calls again, by their transformations.
    fail : callable
        Fails calls, with an error.
    tell : callable
        Tells the user each step.

    Attributes
    ----------
    names : tuple of str
        Those of the environment that was made.
    """

    def __init__(
        self,
        make: Make,
        again: Callable[[Sequence[str]], None],
        fail: Callable[[Sequence[str], Exception], None],
        tell: Callable[[str], None],
    ) -> None:
        self._make = make
        self._again = again
        self._fail = fail
        self._tell = tell
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._kept: dict[_Place, list[str]] = {}
        self._refusals: Counter[tuple[str, _Place]] = Counter()
        self._failed: dict[_Place, tuple[float, Exception]] = {}
        self.names: tuple[str, ...] = ()

    def takes(self, call: str, error: OtherEnvironmentError) -> BaseException | None:
        """Keep a call that failed for want of an environment, to be sent again; else return what it fails with."""
        machine = error.machine
        if machine is None or self._make is not_made:
            return _plain(error)
        place = machine.node, machine.home
        with self._lock:
            self._refusals[call, place] += 1
            failed, why = self._failed.get(place, (0.0, None))
            if self._refusals[call, place] > MOST_REFUSALS:
                return why or _plain(error)
            if place in self._kept:
                self._kept[place].append(call)
                return None
            if why is not None and time.monotonic() - failed < FAILED_SECONDS:
                return why
            self._kept[place] = [call]
        threading.Thread(target=self._run, args=(error, machine), name="offload-making", daemon=True).start()
        return None

    def _run(self, refused: OtherEnvironmentError, machine: Machine) -> None:
        place, told = (machine.node, machine.home), False

        def say(text: str) -> None:
            nonlocal told
            if not told:
                self._tell(f"{refused.message}: making one like this there")
            told = True
            self._tell(f"{machine.node}: {text}")

        names, is_gone = tuple[str, ...](), False
        failure: IdentityError | None
        try:
            with self._one_at_a_time:  # several machines may see the same directory
                names = self._make(machine, say)
            failure = None if names else _plain(refused)
        except Exception as exc:  # whatever it is, nobody must wait for these calls any more
            failure, is_gone = _failure(refused, exc), isinstance(exc, GoneError)
        with self._lock:
            self.names = names or self.names
            self._failed.pop(place, None)
            if failure is not None:
                self._failed[place] = 0.0 if is_gone else time.monotonic(), failure
            kept = self._kept.pop(place)
        if failure is None or is_gone:  # another worker may come, and its machine be asked
            self._again(kept)
        else:
            self._fail(kept, failure)


def _plain(refused: OtherEnvironmentError) -> IdentityError:
    """Return an error as users know it."""
    error = IdentityError(refused.message, refused.hint)
    error.__notes__ = list(getattr(refused, "__notes__", ()))
    return error


def _failure(refused: OtherEnvironmentError, error: Exception) -> IdentityError:
    why, hint = f"{type(error).__name__}: {error}", refused.hint
    if isinstance(error, OffloadError):
        why, hint = error.message, error.hint or hint
    failure = IdentityError(f"{refused.message}; nor can it be made there: {why}", hint)
    failure.__cause__ = error
    return failure
