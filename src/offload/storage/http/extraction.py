"""Writing a buffer of a storage service to a file: streamed, hashed on the way, and there only when it is right."""

from __future__ import annotations

import os
from hashlib import sha256

from offload.errors import BufferMissingError, NotFoundError, NotWritableError
from offload.util.filesystems import translated
from offload.util.sparse import SparseWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.http.client import Client


def extract(client: Client, checksum: str, path: str, mode: int, corrupt: Callable[[], None]) -> None:
    """Write a buffer to a file.

    Parameters
    ----------
    client : Client
        The service.
    checksum, path, mode
        As for `Store.extract`.
    corrupt : callable
        Called when what arrived has another checksum.
    """
    if os.path.isdir(path):
        raise NotWritableError(f"{path} is a directory", "name a file to write to")
    temporary = os.path.join(os.path.dirname(path) or ".", f".offload-{os.urandom(8).hex()}")
    digest = sha256()
    with client.exchange("GET", f"/v1/buffers/{checksum}") as answer:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise NotFoundError(f"there is no directory {os.path.dirname(path)}") from None
        except OSError as error:
            raise translated(error, path) from error
        try:
            sparse = SparseWriter(descriptor)
            for chunk in answer.chunks():
                digest.update(chunk)
                try:
                    sparse.write(chunk)
                except OSError as error:
                    raise translated(error, path) from error
            sparse.finish()
            if digest.hexdigest() == checksum:
                os.fchmod(descriptor, mode)
                try:
                    os.rename(temporary, path)
                except OSError as error:
                    raise translated(error, path) from error
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
    if digest.hexdigest() != checksum:
        os.unlink(temporary)
        corrupt()
        raise BufferMissingError(f"buffer {checksum} was corrupt and has been set aside", "run what made it again")
