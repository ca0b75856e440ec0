"""Programs that are executed where they lie, since they find the rest of themselves by their own path."""

from __future__ import annotations

import os

_BINARIES = ("bin", "Scripts", ".bin")


def environment_of(program: str) -> str | None:
    """Return the directory of the environment that a program lies in; None where it lies in none.

    Parameters
    ----------
    program : str
        A path, links not followed.

    Returns
    -------
    str or None
        Of a virtual environment, one of conda's, or a ``node_modules``.
    """
    folder = os.path.dirname(program)
    prefix = os.path.dirname(folder)
    if not prefix or os.path.basename(folder) not in _BINARIES:
        return None
    is_environment = (
        os.path.exists(f"{prefix}/pyvenv.cfg")
        or os.path.isdir(f"{prefix}/conda-meta")
        or os.path.basename(prefix) == "node_modules"
    )
    return prefix if is_environment else None
