"""Copies of files: sharing blocks where the file system can, and checked against the expected content."""

from __future__ import annotations

import os
from _thread import allocate_lock

from offload.errors import OffloadError
from offload.util.filesystems import reflink

# One moment for all staged files (2000-01-01 UTC): when a copy was made is no property of the input.
MOMENT = 946_684_800 * 10**9
CHUNK = 1024 * 1024

no_fork = allocate_lock()
"""Held while an executable is written, and while a command is started: a child that is forked meanwhile would have the
executable open, and the system would refuse to execute it (``ETXTBSY``)."""


def copy_verified(source: str, target: str, checksum: str, executable: bool) -> None:
    """Copy a file (reflinked where the file system can) and check that the copy has the expected content.

    Raises
    ------
    OffloadError
        When it has not: the source changed since its checksum was taken.
    """
    from hashlib import sha256

    from offload.util.sparse import SparseWriter

    digest = sha256()
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writer = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            cloned = reflink(reader, writer)
            stream = writer if cloned else reader
            sparse = SparseWriter(writer)
            while data := os.read(stream, CHUNK):
                digest.update(data)
                if not cloned:
                    sparse.write(data)
            sparse.finish()
            os.fchmod(writer, 0o755 if executable else 0o644)
            os.utime(writer, ns=(MOMENT, MOMENT))
        finally:
            os.close(writer)
    finally:
        os.close(reader)
    if digest.hexdigest() != checksum:
        from offload.storage.file_checksums import forget

        forget(source)  # it may be that nothing but its content tells that it is another one
        raise OffloadError(f"{source} changed while it was read", "run the command again when nothing writes to it")
