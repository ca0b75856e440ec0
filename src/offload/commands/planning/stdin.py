"""What a command gets as its standard input, and what of it counts.

* A regular file (``offload run -- wc < file``) counts by its content, from where it stands.
* A pipe that delivers something, or ends, within a second is read to its end first, and counts by its content.
* A pipe that stays open and silent (many programs leave one to their children) must not make anybody wait.
  The command counts as having an "open" standard input; what arrives while it runs is passed on to it.
* A terminal, a device, a socket, or nothing at all: the command finds ``/dev/null``, and nothing counts. So it does
  where there is nothing to read: ``make -j`` gives some commands a pipe that has ended, and others ``/dev/null``.
"""

from __future__ import annotations

import os
import stat
import sys
import time

from offload.commands.running.spool import CHUNK, Spool
from offload.errors import OffloadError, UsageError
from offload.identity.commands import STDIN_OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from offload.commands.running.scratch import Scratch
    from offload.storage.file_checksums import FileChecksums
    from offload.storage.store import Store

PATIENCE = 1.0
"""Seconds within which a pipe has to deliver something, or end, to be taken as an input."""

NOTICE_AFTER = 2.0
NOTICE_EVERY = 10.0
IN_MEMORY = 1024 * 1024
MOST = 10 * 10**9
"""Bytes of a pipe, which is kept whole before the command begins."""


class Stdin:
    """The standard input of one command.

    Parameters
    ----------
    identity : str, optional
        What counts: a checksum, `STDIN_OPEN`, or None.
    source : str, optional
        A file whose whole content it is; copied (and verified) for the command.
    offset : int
        With neither `source` nor `spool`: where in this process's own standard input, a file, the content begins.
    spool : Spool, optional
        The content, where it came through a pipe.
    """

    __slots__ = ("identity", "offset", "size", "source", "spool")

    def __init__(
        self,
        identity: str | None = None,
        source: str | None = None,
        offset: int = 0,
        spool: Spool | None = None,
        size: int = 0,
    ) -> None:
        self.identity = identity
        self.source = source
        self.offset = offset
        self.spool = spool
        self.size = size

    @property
    def is_open(self) -> bool:
        """Whether what arrives is to be passed on while the command runs."""
        return self.identity == STDIN_OPEN

    def open(self, scratch: Scratch) -> int:
        """Return a descriptor from which the command reads, as `place` says; not for an open pipe."""
        return os.open(self.place(scratch) or os.devnull, os.O_RDONLY)

    def place(self, scratch: Scratch) -> str | None:
        """Return the path of a file with the content, made in a scratch directory; None where there is nothing to read.

        Raises
        ------
        OffloadError
            When the content is not, or no longer, what the identity says.
        """
        if self.identity is None:
            return None
        place = scratch.file("stdin")
        if self.source is not None:
            from offload.storage.copies import copy_verified

            copy_verified(self.source, place, self.identity, False)
        elif self.spool is not None and self.spool.path is not None:
            place = self.spool.path
        else:
            self._write(place)
        return place

    def stored(self, store: Store) -> Stdin:
        """Put the content into a store, if there is any; return what stands for it there."""
        if self.identity is None or self.is_open:
            return self
        if not store.has([self.identity])[0]:
            if self.source is not None:
                store.put_file(self.source, self.identity)
            else:
                store.put_stream(self._chunks(), self.identity)
        return Stdin(self.identity, size=self.size)

    def _write(self, place: str) -> None:
        from hashlib import sha256

        digest = sha256()
        with open(place, "xb") as stream:
            for chunk in self._chunks():
                digest.update(chunk)
                stream.write(chunk)
        if digest.hexdigest() != self.identity:
            raise OffloadError("the standard input changed while it was read")

    def _chunks(self) -> Iterator[bytes]:
        if self.spool is not None:
            yield from self.spool.chunks()
        else:
            yield from _rest_of(0, self.offset)


def of_bytes(data: bytes, scratch: Scratch) -> Stdin:
    """Return a standard input with the given content."""
    from hashlib import sha256

    spool = Spool(lambda: scratch.file("stdin"), IN_MEMORY)
    spool.write(data)
    spool.close()
    return Stdin(sha256(data).hexdigest(), spool=spool, size=len(data))


def find(mode: str, files: FileChecksums, scratch: Scratch, say: Callable[[str], None]) -> Stdin:
    """Return the standard input that a request stands for; the parameters are those of `_find`."""
    found = _find(mode, files, scratch, say)
    return found if found.size or found.is_open else Stdin()


def _find(mode: str, files: FileChecksums, scratch: Scratch, say: Callable[[str], None]) -> Stdin:
    """Return the standard input that a request stands for, be it empty.

    Parameters
    ----------
    mode : str
        ``"auto"``, ``"none"``, ``"-"`` or a path.
    files : FileChecksums
        For files.
    scratch : Scratch
        Takes what comes through a pipe and is too much for memory.
    say : callable
        Tells the user what is waited for.
    """
    if mode == "none":
        return Stdin()
    if mode not in ("auto", "-"):
        try:
            size = os.stat(mode).st_size
        except OSError as error:
            raise UsageError(f"--stdin {mode}: {error.strerror}") from error
        sys.audit("offload.file", mode)  # a call that is running has made use of it
        return Stdin(files.checksum(mode), source=mode, size=size)
    try:
        status = os.fstat(0)
    except OSError:
        return Stdin()
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        return _regular(status, files)
    if mode == "-":
        return _read(scratch, say)
    if kind != stat.S_IFIFO:
        return Stdin()
    return _read(scratch, say) if ready(PATIENCE) else Stdin(STDIN_OPEN)


def note(stdin: Stdin, mode: str, argv: Sequence[str], inputs: int) -> str | None:
    """Return what to tell of a standard input that a command may not have asked for, or None.

    In a loop of a shell (``while read name; do offload run ...``) it is the rest of the list.

    Parameters
    ----------
    stdin : Stdin
        What was found.
    mode : str
        As for `find`.
    argv : sequence of str
        The command.
    inputs : int
        How many files its words name.
    """
    if mode != "auto" or not stdin.size or not inputs or any(word in ("-", "/dev/stdin") for word in argv):
        return None
    what = "a file" if stdin.spool is None else "a pipe, read to its end"
    return f"standard input ({what}, {stdin.size:,} bytes) counts; if the command needs none of it: --stdin none"


def ready(seconds: float) -> bool:
    """Return whether standard input delivers something, or ends, within some seconds."""
    import select

    poller = select.poll()
    poller.register(0, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _regular(status: os.stat_result, files: FileChecksums) -> Stdin:
    offset = os.lseek(0, 0, os.SEEK_CUR)
    link = "/proc/self/fd/0"
    if offset == 0 and os.access(link, os.R_OK):
        return Stdin(files.checksum(link), source=link, size=status.st_size)
    from hashlib import sha256

    digest = sha256()
    for chunk in _rest_of(0, offset):
        digest.update(chunk)
    return Stdin(digest.hexdigest(), offset=offset, size=max(0, status.st_size - offset))


def _rest_of(descriptor: int, offset: int) -> Iterator[bytes]:
    """Yield a file's content from an offset on, without moving anybody's position in it."""
    while chunk := os.pread(descriptor, CHUNK, offset):
        offset += len(chunk)
        yield chunk


def _read(scratch: Scratch, say: Callable[[str], None]) -> Stdin:
    from hashlib import sha256

    spool = Spool(lambda: scratch.file("stdin"), IN_MEMORY)
    digest = sha256()
    notice = time.monotonic() + NOTICE_AFTER
    try:
        while True:
            left = notice - time.monotonic()
            if left <= 0 or not ready(left):
                say(f"reading standard input ({spool.size / 1e6:.0f} MB so far)")
                notice = time.monotonic() + NOTICE_EVERY
                continue
            chunk = os.read(0, CHUNK)
            if not chunk:
                break
            digest.update(chunk)
            spool.write(chunk)
            if spool.size > MOST:
                raise UsageError(
                    f"standard input is a pipe of more than {MOST // 10**9} GB, read before the command begins",
                    "give it as a file: --stdin PATH; or, if the command needs none of it: --stdin none",
                )
    finally:
        spool.close()
    return Stdin(digest.hexdigest(), spool=spool, size=spool.size)
