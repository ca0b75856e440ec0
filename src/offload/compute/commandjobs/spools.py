"""What running commands have written, in files: pieces come with their places, so one that comes twice is no harm."""

from __future__ import annotations

import os

from offload.errors import OffloadError, StorageError
from offload.storage.filesystems import translated

NAMES = ("out", "err")


class SpoolGapError(OffloadError):
    """A piece does not follow what is there."""


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

    def path(self, job: int, which: int) -> str:
        """Return the file of a job's stdout (0) or stderr (1), which is there once anything was written."""
        return os.path.join(self._directory, f"{job}.{NAMES[which]}")

    def size(self, job: int, which: int) -> int:
        """Return how many bytes there are."""
        try:
            return os.stat(self.path(job, which)).st_size
        except FileNotFoundError:
            return 0

    def write(self, job: int, which: int, place: int, data: bytes) -> None:
        """Put a piece where it belongs.

        Raises
        ------
        SpoolGapError
            If what comes before it is not there.
        StorageError
            If it cannot be written.
        """
        if place > self.size(job, which):
            raise SpoolGapError(f"the output of job {job} lacks what comes before byte {place}")
        if not data:
            return
        path = self.path(job, which)
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

    def read(self, job: int, which: int, place: int, most: int) -> bytes:
        """Return what follows a place, at most so many bytes."""
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
            try:
                os.unlink(self.path(job, which))
            except FileNotFoundError:
                continue
