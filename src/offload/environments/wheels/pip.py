"""The pip that is used here and sent there: an environment of uv has none, but Python brings one along."""

from __future__ import annotations

import glob
import importlib.util
import os
import sys

from offload.environments.installed import installed
from offload.environments.wheels.pack import wheel_name
from offload.environments.wheels.send import Wheel

_SHARED = "/usr/share/python-wheels"  # where Debian keeps what ensurepip has elsewhere


def pip_wheel() -> Wheel | None:
    """Return the wheel of a pip, installed here or brought along by Python; None where there is none."""
    for one in installed():
        if one.key == "pip":
            return wheel_name(one), one
    path = _brought_along()
    return (os.path.basename(path), path) if path is not None else None


def pip_words() -> list[str] | None:
    """Return how pip is run here; None where there is none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    path = _brought_along()
    return [sys.executable, os.path.join(path, "pip")] if path is not None else None


def _brought_along() -> str | None:
    spec = importlib.util.find_spec("ensurepip")
    own = os.path.join(os.path.dirname(spec.origin), "_bundled") if spec is not None and spec.origin else _SHARED
    return next((path for folder in (own, _SHARED) for path in sorted(glob.glob(f"{folder}/pip-*.whl"))), None)
