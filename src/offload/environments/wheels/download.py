"""Wheels for the other machine from an index that this one reaches."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from offload.environments.probe import wanted_version
from offload.environments.wheels.pip import pip_words
from offload.environments.wheels.platforms import Platform

SECONDS = 1800


def download(wanted: Sequence[str], platform: Platform, folder: str) -> str | None:
    """Download wheels that fit another machine.

    Parameters
    ----------
    wanted : sequence of str
        ``NAME==VERSION``.
    platform : Platform
        The machine.
    folder : str
        Where they are put.

    Returns
    -------
    str or None
        What pip says if it did not get all.
    """
    digits = wanted_version().replace(".", "")
    options = ["--python-version", digits, "--implementation", "cp"]
    for abi in (f"cp{digits}{getattr(sys, 'abiflags', '')}", "abi3", "none"):
        options += ["--abi", abi]
    for name in platform.names:
        options += ["--platform", name]
    pip = pip_words()
    if pip is None:
        return "there is no pip here"
    command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--no-input", "-q"]
    command += ["--disable-pip-version-check", "--progress-bar=off", *options, "-d", folder, *wanted]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False, cwd=os.path.sep
        )
    except subprocess.TimeoutExpired:
        return f"pip got no answer in {SECONDS} s"
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return None if done.returncode == 0 else (lines or ["pip does not say why"])[-1]
