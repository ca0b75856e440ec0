"""Whether the software that a service runs on is still there: it lives long, and imports some of it late."""

from __future__ import annotations

import os
import sys

from offload.errors import StorageError

AGAIN = "bring it up anew, with the software that there is: offload down{}, then offload up{}"


def gone() -> str | None:
    """Return the environment of this process where it has been removed or moved away, else None."""
    if sys.executable and not os.path.exists(sys.executable):
        return sys.prefix
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return None if os.path.isdir(package) else package


def explained(error: BaseException, name: str = "") -> StorageError | None:
    """Return what is to be said of an error that comes of software that is not there any more; None for others.

    Parameters
    ----------
    error : BaseException
        What went wrong.
    name : str
        The deployment, where it is known.
    """
    path, hint = gone(), AGAIN.format(*([f" {name}" if name else ""] * 2))
    if path is not None:
        return StorageError(f"its environment {path} is gone", hint)
    if isinstance(error, ImportError):
        return StorageError(f"its environment {sys.prefix} has changed: {error}", hint)
    return None
