"""What a test marked ``real`` needs of the machine; without it the test is skipped, and the summary says why."""

from __future__ import annotations

import os
import shutil

import pytest


def requires(condition: object, reason: str) -> None:
    """Skip the running test, loudly, unless `condition` holds."""
    if not condition:
        pytest.skip(reason)


def requires_program(name: str) -> str:
    """Skip the running test unless the program is on the path; return where it is."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs the program {name}")
    return path


def requires_root() -> None:
    """Skip the running test unless it runs as root."""
    requires(os.geteuid() == 0, "needs root")
