"""Wheels from an index, where this machine reaches one: pip's own configuration says which."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

from offload.environments.payload.wheels import make_home

TRY_SECONDS, ALL_SECONDS = 40, 1800
MOST_MISSING = 20
_MISSING = re.compile(r"No matching distribution found for ([^=\s]+)==")

_CUT_OFF = re.compile(r"Retrying \(|connection|timed out|no answer", re.IGNORECASE)

Request = dict[str, Any]


def fetch(request: Request) -> dict[str, Any]:
    """Download wheels into the cache; return which names were got, and why not all, if not.

    The request has: home, wanted (``NAME==VERSION``, the smallest first), pip (a wheel of pip in the cache, or None).
    """
    folder = os.path.join(request["home"], "wheels")
    partial = os.path.join(request["home"], f".fetched.{os.urandom(6).hex()}.partial")
    pip = (
        [sys.executable, "-m", "pip"] if request["pip"] is None else [sys.executable, f"{folder}/{request['pip']}/pip"]
    )
    wanted = list(request["wanted"])
    make_home(request["home"])
    os.makedirs(partial, 0o700, exist_ok=True)
    try:
        # An index that is not reached has nothing, says pip: two small ones tell whether there is one.
        tries = [_download(pip, [one], partial, TRY_SECONDS) for one in wanted[:1]]
        if tries[0] is not None and not _CUT_OFF.search(tries[0]):
            tries += [_download(pip, [one], partial, TRY_SECONDS) for one in wanted[1:2]]
        if all(tries):
            return {"fetched": [], "reason": _no_index(tries[0])}
        reason: str | None = None
        missing = 0
        while wanted and missing < MOST_MISSING:
            reason = _download(pip, wanted, partial, ALL_SECONDS)
            if reason is None:
                break
            found = _MISSING.search(reason)
            lacking = [one for one in wanted if found is not None and one.partition("==")[0] == found[1]]
            if not lacking:
                break
            wanted.remove(lacking[0])
            missing += 1
        got = sorted(name for name in os.listdir(partial) if name.endswith(".whl"))
        for name in got:
            os.replace(os.path.join(partial, name), os.path.join(folder, name))
        return {"fetched": got, "reason": None if reason is None else _last(reason)}
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _download(pip: list[str], wanted: list[str], folder: str, seconds: float) -> str | None:
    """Have pip download wheels; return what it says if that fails."""
    options = "--no-deps --only-binary=:all: --no-input --disable-pip-version-check --progress-bar=off -q".split()
    command = [*pip, "download", *options, "--timeout", "8", "--retries", "1", "-d", folder, *wanted]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired:
        return f"pip got no answer in {seconds} s"
    return None if done.returncode == 0 else done.stderr.decode("utf-8", "replace")


def _no_index(text: str | None) -> str:
    return "no index is reached" if _CUT_OFF.search(text or "") else _last(text or "")


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "ERROR" in line), lines[-1] if lines else "pip does not say why")
