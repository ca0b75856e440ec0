"""Files of the user's: reading them, and writing a buffer to one at once, whole and verified, or not at all."""

from __future__ import annotations

import os

from offload.errors import NotFoundError, NotWritableError
from offload.identity.checksums import BLOCK
from offload.util.filesystems import reflink, translated
from offload.util.sparse import SparseWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

    from offload.storage.reader import Reader
    from offload.storage.store import Store

SMALL, BATCH = 64 * 1024, 500
"""Files of fewer bytes are put into a store together, so many at a time."""


def open_file(path: str) -> io.FileIO:
    """Open a file to read it.

    Raises
    ------
    NotFoundError
        It is not there, or cannot be read.
    """
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}") from error


def write_file(reader: Reader, path: str, mode: int) -> None:
    """Write what a reader gives to a temp file, and rename that to its place.

    Parameters
    ----------
    reader : Reader
        The buffer.
    path : str
        The file; one that exists is replaced.
    mode : int
        Its permissions.
    """
    if os.path.isdir(path):
        raise NotWritableError(f"{path} is a directory", "name a file to write to")
    temporary = os.path.join(os.path.dirname(path) or ".", f".offload-{os.urandom(8).hex()}")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            shared = reader.descriptor is not None and reflink(reader.descriptor, descriptor)
            sparse = SparseWriter(descriptor)
            # The shared blocks are verified too: reading does so.
            while chunk := reader.read(BLOCK):
                if not shared:
                    sparse.write(chunk)
            sparse.finish()
            os.fchmod(descriptor, mode)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise NotFoundError(f"there is no directory {os.path.dirname(path)}") from None
    except OSError as error:
        raise translated(error, path) from error


def store_files(names: Sequence[str], store: Store) -> dict[str, str]:
    """Put files into a store, small ones in batches; return their checksums."""
    checksums: dict[str, str] = {}
    small = [name for name in names if os.path.getsize(name) < SMALL]
    for start in range(0, len(small), BATCH):
        batch = small[start : start + BATCH]
        contents = []
        for name in batch:
            with open(name, "rb") as stream:
                contents.append(stream.read())
        checksums.update(zip(batch, store.put(contents), strict=True))
    for name in names:
        if name not in checksums:
            checksums[name] = store.put_file(name)
    return checksums
