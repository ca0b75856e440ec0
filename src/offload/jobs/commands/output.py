"""What running commands have written, in files: pieces come with their places, so one that comes twice is no harm."""

from __future__ import annotations

import contextlib
import os

from offload.errors import OffloadError, StorageError
from offload.util.filesystems import is_nearly_full, translated

NAMES = ("out", "err")

MOST = 10 * 10**9
"""Bytes that one command may write to standard output and standard error."""

KNOWN = 20_000
"""Files of which the sizes are remembered: clients ask again and again whether there is more."""

_PIECE = 1 << 20  # no report has more
LOOK_EVERY = 64 * 10**6  # bytes of one command between two looks at the disk


class SpoolGapError(OffloadError):
    """A piece does not follow what is there."""


class TooMuchOutputError(OffloadError):
    """A command writes more than can be kept."""


class Spools:
    """The output of the jobs of one deployment.

    Parameters
    ----------
    directory : str
        Made where it does not exist; only its owner may enter.
    """

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, 0o700, exist_ok=True)
        self._directory = directory
        self._sizes: dict[tuple[int, int], int] = {}  # as far as they are known: nobody else writes here

    def path(self, job: int, which: int) -> str:
        """Return the file of a job's stdout (0) or stderr (1), which is there once anything was written."""
        return os.path.join(self._directory, f"{job}.{NAMES[which]}")

    def size(self, job: int, which: int) -> int:
        """Return how many bytes there are."""
        size = self._sizes.get((job, which))
        if size is None:
            try:
                size = os.stat(self.path(job, which)).st_size
            except FileNotFoundError:
                size = 0
            self._know(job, which, size)
        return size

    def _know(self, job: int, which: int, size: int) -> None:
        if len(self._sizes) >= KNOWN:
            self._sizes.clear()
        self._sizes[job, which] = size

    def write(self, job: int, which: int, place: int, data: bytes) -> None:
        """Put a piece where it belongs.

        Raises
        ------
        SpoolGapError
            If what comes before it is not there.
        TooMuchOutputError
            If it is more than one command may write, or than there is room for.
        StorageError
            If it cannot be written.
        """
        if place > self.size(job, which):
            raise SpoolGapError(f"the output of job {job} lacks what comes before byte {place}")
        if not data:
            return
        before = self.size(job, which)
        self._check_room(place, len(data) + before + self.size(job, 1 - which))
        path = self.path(job, which)
        self._sizes.pop((job, which), None)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                view = memoryview(data)
                while view:
                    written = os.pwrite(descriptor, view, place)
                    view, place = view[written:], place + written
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise translated(exc, path) from exc
        self._know(job, which, max(before, place))

    def _check_room(self, place: int, size: int) -> None:
        """Check that a command may have written so much, of which a piece is to follow a place."""
        hint = "write what is large to a file that is an output, or to /dev/null"
        if size > MOST:
            raise TooMuchOutputError(f"it writes more than {MOST // 10**9} GB to standard output and error", hint)
        if size < LOOK_EVERY or place % LOOK_EVERY > _PIECE:
            return
        if is_nearly_full(self._directory):
            so_far = f"{size // 10**6:,} MB of output so far"
            raise TooMuchOutputError(f"it has written {so_far}, and fills the disk of {self._directory}", hint)

    def read(self, job: int, which: int, place: int, most: int) -> bytes:
        """Return what follows a place, at most so many bytes."""
        if most <= 0 or place >= self.size(job, which):
            return b""
        try:
            descriptor = os.open(self.path(job, which), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(descriptor, most, place)
        except OSError as exc:
            raise StorageError(f"{self.path(job, which)} cannot be read: {exc.strerror}") from exc
        finally:
            os.close(descriptor)

    def remove(self, job: int) -> None:
        """Remove what a job has written."""
        for which in (0, 1):
            if self._sizes.get((job, which)) != 0:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path(job, which))
                self._know(job, which, 0)
