"""The base of all sites: a machine on which commands are run."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import IO, Any, Self

from offload.errors import OffloadError, UsageError

SECONDS = 60.0
"""How long a command may take for which nothing else is said."""

Line = Callable[[str], object]

_PIECE = 1 << 16
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_SPECIAL = frozenset("'\\!\n\r\0")


class NotDoneError(OffloadError):
    """A command took longer than it may."""


@dataclasses.dataclass(frozen=True)
class Done:
    """A command that has ended.

    Attributes
    ----------
    words : tuple of str
        The command.
    code : int
        Its exit code; negative for a signal.
    out, err : bytes
        What it has written.
    """

    words: tuple[str, ...]
    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """What it has written to standard output, as text."""
        return self.out.decode("utf-8", "replace")

    @property
    def said(self) -> str:
        """The last line of what it has written to standard error, or of the output, where there is none."""
        lines = [*self.text.splitlines(), *self.err.decode("utf-8", "replace").splitlines()]
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


class Site(ABC):
    """A machine on which commands are run.

    Attributes
    ----------
    name : str
        As a user writes it: ``here`` or ``ssh://user@host``.
    """

    name: str

    @abstractmethod
    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command of this machine that runs a command there, with its input, output and exit code.

        Raises
        ------
        UsageError
            If a word cannot be given to that machine.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the machine. To close twice is no error."""

    def failed(self, done: Done) -> OffloadError | None:
        """Return why a command could not even be begun there, or None where it was."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self,
        words: Sequence[str],
        data: bytes | Iterable[bytes] = b"",
        seconds: float = SECONDS,
        check: bool = True,
        tell: Line | None = None,
    ) -> Done:
        """Run a command and wait for its end.

        Parameters
        ----------
        words : sequence of str
            The command.
        data : bytes or iterable of bytes
            Its standard input. What is not bytes is sent as it comes.
        seconds : float
            How long it may take.
        check : bool
            Whether another exit code than 0 is an error.
        tell : callable, optional
            Is told each line that it writes to standard error, as it comes; returns True for one that is no trouble.

        Raises
        ------
        OffloadError
            If it cannot be run there, takes too long, or, with `check`, fails; with its last words.
        """
        done = self.result(words, data, seconds, tell)
        trouble = self.failed(done)
        if trouble is not None:
            raise trouble
        if check and done.code:
            how = f"ended with {done.code}" if done.code > 0 else f"was ended by {signal.Signals(-done.code).name}"
            raise OffloadError(f"{words[0]} on {self.name} {how}: {done.said}", f"try it: {self.shown(words)}")
        return done

    def result(self, words: Sequence[str], data: bytes | Iterable[bytes], seconds: float, tell: Line | None) -> Done:
        """Run a command to its end, however that is; see `run`."""
        process = subprocess.Popen(
            self.command(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = _Exchange(process, data, tell).result(seconds)
        except TimeoutError:
            raise NotDoneError(
                f"{words[0]} on {self.name} was not done after {seconds:g} s", f"try it: {self.shown(words)}"
            ) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return Done(tuple(words), process.returncode, out, err)

    def shown(self, words: Sequence[str]) -> str:
        """Return a command of this machine as a user would type it there."""
        text = " ".join(words)
        return text if len(text) < 200 else f"{text[:200]}..."


class _Exchange:
    """Feeds a process and takes what it writes, in threads, within a deadline."""

    def __init__(self, process: subprocess.Popen[bytes], data: bytes | Iterable[bytes], tell: Line | None) -> None:
        import threading

        self._process = process
        self._written: dict[str, list[bytes]] = {"out": [], "err": []}
        self._tell = tell
        self._failure: BaseException | None = None
        feeding = ([data] if data else []) if isinstance(data, bytes) else data
        jobs: list[tuple[Callable[..., None], Any, Any]] = [
            (self._feed, process.stdin, feeding),
            (self._take, process.stdout, "out"),
            (self._take, process.stderr, "err"),
        ]
        self._threads = [threading.Thread(target=job, args=args, daemon=True) for job, *args in jobs]
        for thread in self._threads:
            thread.start()

    def result(self, seconds: float) -> tuple[bytes, bytes]:
        """Wait for the end; give standard output and standard error."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        for thread in self._threads:
            # A program that it has left behind may hold its output open: that is not waited for.
            thread.join(2.0)
        if self._failure is not None:
            raise self._failure
        return b"".join(self._written["out"]), b"".join(self._written["err"])

    def _feed(self, pipe: IO[bytes], chunks: Iterable[bytes]) -> None:
        try:
            with pipe:
                for chunk in chunks:
                    pipe.write(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended, or wants no more: its exit code tells
        except BaseException as exc:
            self._failure = exc
            self._process.kill()

    def _take(self, pipe: IO[bytes], which: str) -> None:
        with pipe:
            for line in pipe if which == "err" else iter(lambda: pipe.read(_PIECE), b""):
                told = None
                if which == "err" and self._tell is not None:
                    told = self._tell(line.decode("utf-8", "replace").rstrip())
                if told is not True:
                    self._written[which].append(line)


def quoted(words: Sequence[str]) -> str:
    """Return a command line that sh, bash, zsh, csh and fish understand alike.

    Raises
    ------
    UsageError
        If a word holds what these quote in different ways.

    Examples
    --------
    >>> quoted(["ls", "-l", "two words"])
    "ls -l 'two words'"
    """
    for word in words:
        if _SPECIAL & set(word):
            raise UsageError(
                f"{word!r} cannot be given to a shell on another machine",
                "use paths without quotation marks, backslashes, exclamation marks and line ends",
            )
    return " ".join(word if _PLAIN.fullmatch(word) else f"'{word}'" for word in words)
