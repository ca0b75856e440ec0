"""Files that are no input of a call: the system's, installed code, caches and scratch.

Who reads them depends on the machine and its software, which count by other means (the interpreter's version,
distributions by name and version) or are documented as outside the promise.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache

from offload.identity.libraries.distributions import lists

_SEP = os.sep

OUTPUTS = f"{_SEP}offload-output-"
"""What the paths of directories contain that calls write their outputs to."""

# Not all of /usr: containers keep projects in /usr/src, and people data in /usr/local.
_SYSTEM = (
    *(f"{root}/{name}/" for root in ("", "/usr", "/usr/local") for name in ("bin", "sbin", "lib", "lib64", "etc")),
    *(f"/usr/{name}/" for name in ("share", "include", "lib32", "libexec", "local/share", "local/include")),
    *("/lib32/", "/proc/", "/sys/", "/var/cache/fontconfig/", "/run/nscd/", "/var/run/nscd/", "/var/db/timezone/"),
    *("/System/", "/Library/", "/private/etc/", "/private/var/db/", "/opt/homebrew/"),
)
_DEVICES = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "log")}
# They lead elsewhere.
_DETOURS = ("/cwd/", "/root/", "/fd/")

_CACHE_VARIABLES = ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TRITON_CACHE_DIR", "CUPY_CACHE_DIR")
_CACHES = (".cache", ".matplotlib", ".config/matplotlib", ".config/dask", ".astropy/cache", ".nv", "Library/Caches")
_CACHED_CODE = (".nbi", ".nbc")  # what Numba has compiled


def is_no_input(path: str) -> bool:
    """Tell whether a file or directory belongs to the system, to installed code or to a cache.

    Parameters
    ----------
    path : str
        An absolute path.
    """
    if os.path.join(path, "").startswith(_SYSTEM):
        return not (path.startswith("/proc/") and any(part in path for part in _DETOURS)) and not _is_loose(path)
    if path in _DEVICES or path.endswith(_CACHED_CODE) or path.startswith("/dev/pts/"):
        return True
    if path.startswith(_interpreter()):
        return not _is_loose(path)
    return _is_listed(path) or path.startswith(_caches())


def is_scratch(path: str) -> bool:
    """Tell whether a file may be written without anybody being told: it is temporary."""
    return path.startswith((*_temporary(), "/dev/", "/proc/")) or OUTPUTS in path or is_no_input(path)


def _temporary() -> list[str]:
    """Return the temporary directory; until `tempfile` has chosen it, all that it may choose.

    It is not asked: it chooses under a lock, by writing to them, which is watched and leads here.
    """
    chosen = getattr(sys.modules.get("tempfile"), "tempdir", None)
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    places = [os.fsdecode(chosen)] if chosen else [*filter(None, named), "/tmp", "/var/tmp", "/usr/tmp"]
    return [os.path.join(os.path.abspath(place), "") for place in places]


def _site(path: str) -> str | None:
    """Return the site directory that a path lies in."""
    for name in ("site-packages", "dist-packages"):
        at = path.find(f"{_SEP}{name}{_SEP}")
        if at >= 0:
            return path[: at + len(name) + 2]
    return None


def _is_listed(path: str) -> bool:
    site = _site(path)
    if site is None or site[:-1] not in sys.path:
        return False
    relative = path[len(site) :]
    return ".dist-info" in relative or ".egg-info" in relative or lists(site[:-1], relative)


def _is_loose(path: str) -> bool:
    """Tell whether it lies among installed distributions without belonging to one.

    Those of the system's package manager list no files; nobody else puts any there.
    """
    site = _site(path)
    return site is not None and site in _own_sites() and not _is_listed(path)


@cache
def _own_sites() -> tuple[str, ...]:
    names = ("purelib", "platlib")
    sites = {os.path.join(sysconfig.get_path(name), "") for name in names}
    return tuple(site for site in sites if not site.startswith(("/usr/lib/", "/lib/")))


@cache
def _interpreter() -> tuple[str, ...]:
    prefixes = {p for prefix in (sys.prefix, sys.base_prefix) for p in (prefix, os.path.realpath(prefix))}
    places = {os.path.join(prefix, name, "") for prefix in prefixes for name in ("bin", "include", "lib", "lib64")}
    if sys.prefix == sys.base_prefix:  # a virtual environment may be made around a project
        places |= {os.path.join(prefix, name, "") for prefix in prefixes for name in ("share", "etc", "ssl")}
    return tuple(places)


def _caches() -> tuple[str, ...]:
    home = os.path.expanduser("~")
    places = [os.path.join(home, name) for name in _CACHES] if home != _SEP else []
    places += [os.environ[name] for name in _CACHE_VARIABLES if os.environ.get(name)]
    try:
        here = os.path.join(os.getcwd(), "")
    except OSError:  # it is gone
        here = ""
    found = (os.path.join(os.path.abspath(place), "") for place in places)
    return tuple(place for place in found if not here.startswith(place))
