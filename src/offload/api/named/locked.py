"""Environments that are made of lock files: once for each content, in offload's home."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib

from offload.environments.pins import check_python, reader_of, requirements
from offload.errors import OffloadError, UsageError
from offload.registry.locks import alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MARK, USED = "environment.json", "used"
"""Files of an environment: the one is there when it is complete, the other was changed when it was last used."""

UNUSED_SECONDS = 60 * 86400.0
MAKE_SECONDS = 1800.0
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?\s*===?\s*[^\s*,;]+|.*\s@\s.*")


def python_of(lock: str, home: str, tell: Callable[[str], object]) -> str:
    """Return the Python of the environment that a lock file describes, which is made where it is not there.

    Parameters
    ----------
    lock : str
        A file as ``pip freeze``, ``pip-compile`` and ``uv pip compile`` write it: a version for each name; or
        ``uv.lock`` or ``pylock.toml``.
    home : str
        The directory that keeps environments.
    tell : callable
        Is told that one is made.

    Raises
    ------
    UsageError
        If it is no such file.
    OffloadError
        If the environment cannot be made.
    """
    with open(lock, encoding="utf-8") as file:
        text = file.read()
    lists = _lists(lock, text)
    content = hashlib.sha256(text.encode()).hexdigest()
    if _lock_of(sys.prefix) == content:  # this process runs in it
        return sys.executable
    # Offload and what it requires come from this process's own environment, where the lock has no version of them.
    beside = [one for one in sys.path if os.path.isdir(one) and os.path.basename(one) == "site-packages"]
    base = getattr(sys, "_base_executable", sys.executable)
    digest = hashlib.sha256("\0".join([content, base, sys.version, *beside]).encode()).hexdigest()[:20]
    place = os.path.join(home, f"locked-{digest}")
    os.makedirs(home, 0o700, exist_ok=True)
    with alone(
        os.path.join(home, f".locked-{digest}.lock"),
        2 * MAKE_SECONDS,
        lambda: tell(f"another program makes the environment of {lock}; waiting for it"),
        "making this environment",
    ):
        if not os.path.exists(os.path.join(place, MARK)):
            tell(f"making the environment of {lock}")
            shutil.rmtree(place, ignore_errors=True)
            try:
                _make(place, lock, lists, base, beside)
                with open(os.path.join(place, MARK), "w", encoding="utf-8") as file:
                    json.dump({"lock": lock, "content": content}, file)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
            _remove_unused(home)
    _touch(os.path.join(place, USED))
    return os.path.join(place, "bin", "python")


def _lock_of(prefix: str) -> str:
    """Return the checksum of the lock file that an environment was made of; "" for others."""
    try:
        with open(os.path.join(prefix, MARK), encoding="utf-8") as file:
            return str(json.load(file).get("content", ""))
    except (OSError, ValueError):
        return ""


def _lists(lock: str, text: str) -> list[str] | None:
    """Return what is to be installed, one list after the other; None where the file itself is the list."""
    reader = reader_of(lock)
    if reader is None:
        _check(lock, text)
        return None
    try:
        document = tomllib.loads(text)
        check_python(document)
        pins = reader(document, os.path.dirname(lock))
    except UsageError as exc:
        raise UsageError(f"{lock} cannot be used: {exc.message}", exc.hint) from exc
    except Exception as exc:  # whatever a file that somebody has changed leads to
        raise UsageError(f"{lock} cannot be read: {exc!r}", "make it again: uv lock, or uv export") from exc
    return requirements(pins)


def _check(lock: str, text: str) -> None:
    """Make sure that a file says a version for each name."""
    for line in text.replace("\\\n", " ").splitlines():
        plain = line.partition(" #")[0].strip()
        if plain and not plain.startswith(("#", "-")) and not _PINNED.match(plain):
            hint = "a lock has one for each name: uv pip compile, pip-compile, pip freeze, or uv export make it"
            if plain.startswith(("[", "{", "@EXPLICIT", "lock-version", "version:", "name:", "channels:")):
                raise UsageError(f"{lock} is no list of names and versions, as pip and uv install them", hint)
            raise UsageError(f"{lock} does not say which version of {plain!r}", hint)


def _make(place: str, lock: str, lists: list[str] | None, base: str, beside: list[str]) -> None:
    _run([base, "-m", "venv", "--without-pip", place], lock)
    python = os.path.join(place, "bin", "python")
    uv = shutil.which("uv")
    own = [sys.executable, "-m", "pip", "--python", python, "install", "--disable-pip-version-check", "-q"]
    install = own if uv is None else [uv, "pip", "install", "--python", python, "-q"]
    files = [lock]
    for number, text in enumerate(lists or ()):
        files[number:] = [os.path.join(place, f"requirements-{number}.txt")]
        with open(files[number], "w", encoding="utf-8") as file:
            file.write(text)
    for path in files if lists != [] else ():
        _run([*install, "--no-deps", "-r", path], lock)
    folder = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    lines = "".join(f"import site; site.addsitedir({one!r})\n" for one in beside)
    with open(os.path.join(place, folder, "zz_offload_beside.pth"), "w", encoding="utf-8") as file:
        file.write(lines)
    _touch(os.path.join(place, USED))


def _run(words: list[str], lock: str) -> None:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAKE_SECONDS, check=False,
            cwd=os.path.dirname(lock),
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        late = f"the environment of {lock} is not made within {MAKE_SECONDS:g} s"
        raise OffloadError(late, "make it by hand") from exc
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise OffloadError(
            f"the environment of {lock} cannot be made: {said[-1]}",
            "make it by hand and name its directory: python -m venv .venv, and install there what the lock says; "
            "without a network, put wheels into a directory, and name it to pip: export PIP_FIND_LINKS=DIR",
        )


def _touch(path: str) -> None:
    with open(path, "a", encoding="ascii"):
        os.utime(path)


def _remove_unused(home: str) -> None:
    """Remove environments of locks that nobody has used for long."""
    for name in os.listdir(home):
        place = os.path.join(home, name)
        used = os.path.join(place, USED)
        is_one = name.startswith("locked-") and os.path.exists(used)
        if is_one and time.time() - os.stat(used).st_mtime > UNUSED_SECONDS:
            shutil.rmtree(place, ignore_errors=True)
