"""What this Python is, what is kept here already, and what is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import sysconfig
from typing import Any

from offload.environments.payload.disk import free

_NAMES = """
import json, os, sys
from importlib.metadata import distributions
found = {}
for one in distributions():
    name, version = one.metadata["Name"], one.metadata["Version"]
    if name and version:
        found.setdefault(name, version)
sites = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
print("@@offload@@" + json.dumps([sys.version.split()[0], found, sites]))
"""
NAMES_SECONDS = 60


def facts(home: str) -> dict[str, Any]:
    """Return what is to be known before an environment can be made."""
    wheels = os.path.join(home, "wheels")
    return {
        "base": getattr(sys, "_base_executable", sys.executable),
        "version": ".".join(map(str, sys.version_info[:3])),
        "platform": sysconfig.get_platform(),
        "glibc": _glibc(),
        "macos": platform.mac_ver()[0],
        "free": free(home),
        "pip": importlib.util.find_spec("pip") is not None,
        "wheels": sorted(name for name in os.listdir(wheels) if name.endswith(".whl")) if os.path.isdir(wheels) else [],
    }


def _glibc() -> str | None:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[2] or None
    except (AttributeError, OSError, ValueError):
        return None


def names_of(python: str | None) -> dict[str, Any]:
    """Return the versions of all distributions that a Python has, its own included; None: this very Python."""
    done = subprocess.run(
        [python or sys.executable, "-c", _NAMES],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=NAMES_SECONDS,
        check=False,
        cwd="/",
    )
    _, mark, text = done.stdout.decode("utf-8", "replace").rpartition("@@offload@@")
    if done.returncode or not mark:
        return {"failed": done.stderr.decode("utf-8", "replace").strip()[-500:]}
    version, found, sites = json.loads(text)
    return {"version": version, "distributions": found, "sites": sites}
