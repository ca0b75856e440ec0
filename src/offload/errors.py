"""What can go wrong, each kind with its exit code and, where there is one, the next step.

Exit codes of the command line: 0 success, 1 the asked-for thing is not there or differs, 2 usage,
3 storage, 4 the work itself failed, 130 interrupted. ``offload run`` passes the command's own exit
code on and uses 125, 126 and 127 for itself, as ``env`` and ``timeout`` do.
"""

from __future__ import annotations


class OffloadError(Exception):
    """Base of every error that offload raises on purpose.

    Parameters
    ----------
    message : str
        One line that names the cause.
    hint : str, optional
        The next step: what to type or change.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[OffloadError], tuple[str, str | None]]:
        return type(self), (self.message, self.hint)


class UsageError(OffloadError):
    """The call's words are off: a bad option, a missing input, a value out of range."""

    exit_code = 2


class NotFoundError(OffloadError):
    """The asked-for checksum, run or name is not there."""


class BasketGoneError(NotFoundError):
    """A job service does not know a client's basket: it has been started anew."""


class StorageError(OffloadError):
    """The store or the database cannot do what it was asked."""

    exit_code = 3


class RefusedError(StorageError):
    """A service does not let in who asks: the token is none of its, or the invitation has ended."""


class NotWritableError(StorageError):
    """The home, or a directory in it, cannot be written."""


class NotTrustedError(StorageError):
    """Another user can change what decides where data lie or what runs."""


class DiskFullError(StorageError):
    """No space is left where the store lies."""


class DamagedError(StorageError):
    """A file of the home is not what offload wrote."""


class BufferMissingError(StorageError):
    """A buffer is not in the store, or was corrupt and has been set aside."""

    exit_code = 1


class ChecksumMismatchError(StorageError):
    """Bytes do not have the checksum that they were said to have."""


class EncodeError(OffloadError):
    """A value has no canonical encoding and cannot be pickled."""

    exit_code = 4


class CycleError(EncodeError):
    """A value contains itself."""

    @classmethod
    def of(cls, value: object) -> CycleError:
        """Return the error for a value."""
        return cls(
            f"a {type(value).__name__} contains itself, so it has no canonical encoding",
            "pass a value without cycles, or register its type with offload.register",
        )


class OutputError(OffloadError):
    """An output of a call cannot be put where it belongs; its result is recorded all the same."""


class DecodeError(OffloadError):
    """Stored bytes cannot be turned back into a value."""

    exit_code = 4


class IdentityError(OffloadError):
    """What a function reaches cannot be followed, so it has no identity."""

    exit_code = 4


class EnvironmentDiffersError(IdentityError):
    """A worker does not have what a command was identified with."""


class WalltimeError(OffloadError):
    """A call or command takes longer than the jobs of a batch system may, in which workers run."""

    exit_code = 4


class TimeLimitError(OffloadError, TimeoutError):
    """A call took longer than it may, and was ended."""

    exit_code = 4


class MemoryLimitError(OffloadError, MemoryError):
    """A call used more memory than it may, and was ended."""

    exit_code = 4


class WorkFailedError(OffloadError):
    """A call raised what cannot be raised here: its class cannot be made, or it would end the process that waits."""

    exit_code = 4


class CommandError(OffloadError):
    """A command ended with a non-zero exit code."""

    exit_code = 4


class NotRecordedWarning(UserWarning):
    """A result is returned but could not be recorded: the next call computes again."""


class EffectWarning(UserWarning):
    """A function did, or may do, something besides computing from its arguments; its result is recorded."""


class WorkerLostError(OffloadError):
    """A worker ended while it ran a batch, as it does when a call ends its process or takes all memory."""

    exit_code = 4


class UnseenError(OffloadError):
    """A worker does not see the files of its deployment, as workers for commands must.

    Parameters
    ----------
    message : str
        Which one.
    worker : str
        Its address.
    """

    def __init__(self, message: str, worker: str = "") -> None:
        super().__init__(message)
        self.worker = worker

    def __reduce__(self) -> tuple[type[UnseenError], tuple[str, str]]:
        return type(self), (self.message, self.worker)


class TakenBackError(OffloadError):
    """A batch has come back before any worker had it: some of its calls are wanted no more."""


class EngineLostError(OffloadError):
    """The engine is gone, with everything that it was running."""

    exit_code = 4
