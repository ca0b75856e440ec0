"""An environment: built beside its place, and put there when it is complete."""

from __future__ import annotations

import compileall
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any

from offload.environments.payload.disk import MARK, USED
from offload.environments.payload.tidy import remove_unused
from offload.environments.payload.wheels import install, site_packages

OTHERS_SECONDS = 900.0
CHECK_SECONDS = 120
INTERVAL = 0.2
SAY_EVERY = 5.0

Request = dict[str, Any]


def build(request: Request) -> dict[str, Any]:
    """Make an environment from wheels of the cache, unless somebody else has; say what was done.

    The request has: home, name, wheels (file names), beside (directories whose modules count, too), imports (what must
    work in the end), about (what is written into the environment for people).
    """
    home, final = request["home"], os.path.join(request["home"], request["name"])
    held = _alone(os.path.join(home, f".{request['name']}.lock"))
    try:
        if _is_ready(final):
            os.utime(os.path.join(final, USED))
            return {"environment": final, "built": False}
        partial = os.path.join(home, f".{request['name']}.{os.urandom(6).hex()}.partial")
        try:
            failed = _fill(request, partial, final)
            if failed is not None:
                return {"failed": failed}
            _put(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        if held is not None:
            os.close(held)
    return {"environment": final, "built": True, "removed": remove_unused(home, request["name"])}


def _put(partial: str, final: str) -> None:
    if os.path.isdir(final) and not _is_ready(final):  # its Python has gone, or it was damaged
        shutil.rmtree(final)
    try:
        os.rename(partial, final)
    except OSError:
        if not _is_ready(final):  # nor has somebody else made it, where there are no locks
            raise


def _is_ready(place: str) -> bool:
    if not os.path.isfile(os.path.join(place, MARK)):
        return False
    python = os.path.join(place, "bin", "python")
    try:
        return subprocess.run([python, "-I", "-S", "-c", ""], timeout=CHECK_SECONDS, check=False).returncode == 0
    except OSError:
        return False


def _alone(path: str) -> int | None:
    """Wait until nobody else builds the same; None where there are no locks: then both do, and one is kept."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline, told = time.monotonic() + OTHERS_SECONDS, False
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                _tell("somebody else makes the same environment there: waiting for it")
                told = True
            time.sleep(INTERVAL)
        except OSError:
            break
        else:
            return descriptor
    os.close(descriptor)
    return None


def _fill(request: Request, prefix: str, final: str) -> str | None:
    """Make the environment; return why it does not work, if it does not."""
    _bare(prefix)
    cache = os.path.join(request["home"], "wheels")
    said = time.monotonic()
    for number, name in enumerate(request["wheels"]):
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            _tell(f"unpacked {number} of {len(request['wheels'])} wheels there")
        path = os.path.join(cache, name)
        install(path, prefix, final)
        os.utime(path)
    if request["beside"]:
        lines = [f"import site; site.addsitedir({path!r})" for path in request["beside"]]
        with open(os.path.join(site_packages(prefix), "offload_beside.pth"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    python = os.path.join(prefix, "bin", "python")
    # Only what every start needs is compiled now: the rest is when it is first imported, and most never is.
    compileall.compile_dir(os.path.join(site_packages(prefix), "offload"), stripdir=prefix, prependdir=final, quiet=2)
    if request["imports"]:
        _tell("trying it")
        done = subprocess.run(
            [python, "-c", f"import {', '.join(request['imports'])}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_SECONDS,
            check=False,
            cwd="/",
        )
        if done.returncode:
            return (done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    with open(os.path.join(prefix, USED), "w", encoding="ascii"):
        pass
    with open(os.path.join(prefix, MARK), "w", encoding="utf-8") as file:
        json.dump(request["about"], file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return None


def _bare(prefix: str) -> None:
    """Make a virtual environment without anything in it, where the module venv may be missing."""
    base = os.path.abspath(getattr(sys, "_base_executable", sys.executable))
    if not os.path.samefile(os.path.dirname(os.path.dirname(base)), sys.base_prefix):
        base = os.path.realpath(base)  # its library is looked for beside it
    minor = f"python3.{sys.version_info[1]}"
    named = os.path.join(os.path.dirname(base), minor)
    # What is called python3 may be another version one day.
    base = named if os.path.exists(named) and os.path.samefile(named, base) else base
    os.makedirs(os.path.join(prefix, "bin"), 0o700)
    os.makedirs(site_packages(prefix))
    if sys.maxsize > 2**32 and sys.platform.startswith("linux"):
        os.symlink("lib", os.path.join(prefix, "lib64"))
    os.symlink(base, os.path.join(prefix, "bin", "python"))
    for name in ("python3", minor):
        os.symlink("python", os.path.join(prefix, "bin", name))
    with open(os.path.join(prefix, "pyvenv.cfg"), "w", encoding="utf-8") as file:
        file.write(f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\n")
        file.write(f"version = {'.'.join(map(str, sys.version_info[:3]))}\nexecutable = {base}\n")


def _tell(text: str) -> None:
    sys.stderr.write(f"@@offload {text}\n")
    sys.stderr.flush()
