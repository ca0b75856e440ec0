"""Small files that are whole at every moment."""

from __future__ import annotations

import os

from offload.util.filesystems import translated


def write_whole(path: str, content: str | bytes, mode: int = 0o600, durable: bool = False) -> None:
    """Write a small file; whoever reads it meanwhile finds the old content or the new.

    Parameters
    ----------
    path : str
        The file.
    content : str or bytes
        Text is written as UTF-8.
    mode : int
        Its permissions: from the beginning, for nobody but its owner, if nothing else is said.
    durable : bool
        Whether it is to be on the disk when this returns.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    temporary = f"{path}.{os.urandom(6).hex()}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise translated(error, path) from error
