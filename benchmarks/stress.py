"""Many processes on one home, killed at random: is every later recall right?

N workers run at once for T seconds. Half of them call an `@offload.task` in a loop, half run `offload run`; all draw
from the same few hundred arguments, so they meet: one records what another is recording or recalling. At random
moments one is killed with SIGKILL, with everything that it started, and replaced. A worker checks each value that it
gets. At the end a fresh process asks for every argument again and compares with the value recomputed, and the database
and the store must answer `PRAGMA integrity_check` with ok.

    python benchmarks/stress.py [--processes 16] [--seconds 60] [--home DIR] [--json]

The exit code is 0 when nothing was wrong, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARGUMENTS = 300  # few enough that the workers meet, enough that there is always something to compute
LARGE = 5  # every so many-th value is larger than what is packed into the database
KILLS_PER_SECOND = 4.0


def value_of(x: int) -> bytes:
    """What every call must give: some bytes for one argument, for some arguments a large buffer."""
    return (b"%d," % (x * x)) * (20_000 if x % LARGE == 0 else 3)


def script_of(x: int) -> list[str]:
    """A command whose stdout is `value_of`."""
    repeat = 20_000 if x % LARGE == 0 else 3
    return ["awk", f"BEGIN {{ for (i = 0; i < {repeat}; i++) printf \"%d,\", {x * x} }}"]


class Log:
    """One line for each call; a line is one write, so that a kill cannot tear what others wrote."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, *words: str) -> None:
        os.write(self._file, (" ".join(words) + "\n").encode())


def task_worker(log: Log, seed: int) -> None:
    """Call the task with random arguments until killed."""
    import offload

    computed = False

    def work(x: int) -> bytes:
        return (b"%d," % (x * x)) * (20_000 if x % 5 == 0 else 3)

    chance, task = random.Random(seed), offload.task(work)
    while True:
        x = chance.randrange(ARGUMENTS)
        right = task(x) == value_of(x)
        log.add("task", "right" if right else f"WRONG({x})")


def run_worker(log: Log, seed: int) -> None:
    """Run commands with random arguments until killed; `offload run` says on stderr what it recalled."""
    chance = random.Random(seed)
    while True:
        x = chance.randrange(ARGUMENTS)
        done = subprocess.run([_offload(), "run", "--", *script_of(x)], capture_output=True, check=False)
        right = done.returncode == 0 and done.stdout == value_of(x)
        log.add("run", "right" if right else f"WRONG({x})")
