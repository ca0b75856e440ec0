"""Many processes on one home, killed at random: is every later recall right?

Half of the workers call an `@offload.task` in a loop, half run `offload run`; all draw from the same arguments, so they
meet: one records what another is recording or recalling. The arguments grow in number as time goes on, so that there
is always something to compute. At random moments a worker is killed with SIGKILL, with everything that it started, and
replaced. A worker compares each value that it gets with the value recomputed. At the end fresh processes ask for every
argument again, and the home is examined: the SQLite files must be whole, each recorded result must have its buffer,
each buffer must verify.

    python benchmarks/stress.py [--processes 16] [--seconds 60] [--arguments 300]

Writes its counts to stdout as JSON; the exit code is 0 when nothing was wrong, else 1. It needs offload installed in
the Python that runs it.
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
from pathlib import Path

LARGE = 5  # every so many-th value is too large to be packed into the store's database
KILLS_PER_SECOND = 4.0
PER_COMMAND = {"run": 1, "task": 20}  # arguments of each kind: a call is so much quicker than a command
OFFLOAD = Path(sys.executable).parent / "offload"


def value_of(x: int) -> bytes:
    """What a call must give: a few bytes, for some arguments a large buffer."""
    return (b"%d," % (x * x)) * (20_000 if x % LARGE == 0 else 3)


def script_of(x: int) -> list[str]:
    """A command whose stdout is the same."""
    repeat = 20_000 if x % LARGE == 0 else 3
    return ["awk", f'BEGIN {{ for (i = 0; i < {repeat}; i++) printf "%d,", {x * x} }}']


def ask_task(x: int) -> tuple[bytes, bool]:
    """The value of the task; whether it was recalled is not known here."""
    import offload

    return offload.task(value_of)(x), False


def ask_run(x: int) -> tuple[bytes, bool]:
    """The stdout of the command, and whether it was recalled; raises CalledProcessError."""
    done = subprocess.run([OFFLOAD, "run", "--", *script_of(x)], capture_output=True, check=True)
    return done.stdout, b"recalled" in done.stderr


ASK = {"task": ask_task, "run": ask_run}


def worker(kind: str, arguments: int, seed: int, since: float, seconds: float, log: str) -> None:
    """Ask for random arguments until killed, all the time for more of them; with no `seconds`, for each one twice.

    Each answer becomes one line of `log`, in one write: a kill cannot tear the lines of others.
    """
    chance, file = random.Random(seed), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    arguments, failed = arguments * PER_COMMAND[kind], False
    left = [] if seconds else [x for _ in range(2) for x in range(arguments)]
    while seconds or left:
        grown = 0.0 if left else min(1.0, (time.time() - since) / seconds)
        x = left.pop() if left else chance.randrange(1 + int(grown * (arguments - 1)))
        try:
            value, recalled = ASK[kind](x)
            word = "wrong" if value != value_of(x) else "recalled" if recalled else "right"
        except subprocess.CalledProcessError as error:
            word = "failed"
            if not failed:
                sys.stderr.write(f"{error}\n{error.stderr.decode(errors='replace')}")
            failed = True
        os.write(file, f"{kind} {word} {x}\n".encode())


class Crowd:
    """The workers, each the leader of its own process group."""

    def __init__(self, home: Path, arguments: int, seconds: float) -> None:
        self.home, self.arguments, self.seconds, self.since = home, arguments, seconds, time.time()
        self.running: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.kills = self.fell = 0
        self._chance = random.Random()

    def start(self, kind: str, last: bool = False) -> subprocess.Popen[bytes]:
        seed, log = self._chance.randrange(1 << 30), self.home.parent / ("asked" if last else "calls")
        job = json.dumps([kind, self.arguments, seed, self.since, 0 if last else self.seconds, str(log)])
        # What a killed command leaves in its scratch directory goes when the run ends.
        environ = {**os.environ, "OFFLOAD_HOME": str(self.home), "TMPDIR": str(self.home.parent)}
        process = subprocess.Popen(
            [sys.executable, __file__, "--worker", job], env=environ, stdin=subprocess.DEVNULL, start_new_session=True
        )
        if not last:
            self.running.append((kind, process))
        return process

    def disturb(self) -> None:
        """Kill one at random and replace it; a worker that ended by itself is counted, and replaced too."""
        number = self._chance.randrange(len(self.running))
        kind, process = self.running.pop(number)
        if process.poll() is None:
            self.kills += 1
        else:
            self.fell += 1
        self._kill(process)
        self.start(kind)

    def end(self) -> None:
        for _, process in self.running:
            self._kill(process)
        self.running.clear()

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it fell by itself, and left nothing behind
        process.wait()


def executions(home: Path) -> int:
    """How many runs are in the history."""
    from offload.storage.local.database import SqliteDatabase

    with SqliteDatabase(str(home / "database.sqlite")) as database:
        return database.statistics()["runs"]


def examine(home: Path) -> dict[str, int]:
    """What is wrong with a home that nobody uses any more, and how much is recorded in it."""
    from offload.storage.local.database import SqliteDatabase
    from offload.storage.local.store import DirectoryStore

    broken = 0
    for path in (*home.glob("*.sqlite"), *home.glob("store/*.sqlite")):
        connection = sqlite3.connect(path)
        broken += connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
        connection.close()
    store, database = DirectoryStore(str(home / "store")), SqliteDatabase(str(home / "database.sqlite"))
    results = [checksum for checksum in database.lookup(database.find()) if checksum is not None]
    buffers = store.get(results)
    store.close()
    database.close()
    return {
        "recorded": len(results),
        "damaged files": broken,
        "results without a sound buffer": buffers.count(None),
        "corrupt buffers": sum(1 for _ in home.glob("store/corrupt/*")),
    }


def stress(processes: int, seconds: float, arguments: int, home: Path) -> dict[str, float]:
    """Run the crowd, then ask for everything again; returns the counts."""
    crowd = Crowd(home, arguments, seconds)
    try:
        for number in range(processes):
            crowd.start(("task", "run")[number % 2])
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(random.expovariate(KILLS_PER_SECOND))
            crowd.disturb()
    finally:
        crowd.end()
    computed = executions(home)
    failed = sum(process.wait(600) != 0 for process in [crowd.start(kind, last=True) for kind in ASK])
    calls, asked = (
        Counter(tuple(line.split()[:2]) for line in (home.parent / name).read_text().splitlines())
        for name in ("calls", "asked")
    )
    return {
        "processes": processes,
        "seconds": seconds,
        "calls": calls.total(),
        "of them commands": sum(number for (kind, _), number in calls.items() if kind == "run"),
        "computed and recorded": computed,
        "recalled": calls.total() - computed,  # less by what was killed between recording and counting
        "kills": crowd.kills,
        "workers that fell by themselves": crowd.fell,
        "wrong": calls["task", "wrong"] + calls["run", "wrong"],
        "failed": calls["run", "failed"] + asked["run", "failed"],
        "asked again": asked.total(),
        "commands recalled when asked again": asked["run", "recalled"],
        "wrong when asked again": asked["task", "wrong"] + asked["run", "wrong"],
        "final processes that failed": failed,
        "not asked again": 2 * arguments * sum(PER_COMMAND.values()) - asked.total(),
        **examine(home),
    }


MUST_BE_ZERO = (
    "workers that fell by themselves",
    "wrong",
    "failed",
    "wrong when asked again",
    "final processes that failed",
    "not asked again",
    "damaged files",
    "results without a sound buffer",
    "corrupt buffers",
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--arguments",
        type=int,
        default=300,
        help="how many different commands (and twenty times as many calls) there are",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        worker(*json.loads(options.worker))
        return 0
    place = Path(tempfile.mkdtemp(prefix="offload-stress-"))
    try:
        counts = stress(options.processes, options.seconds, options.arguments, place / "home")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(json.dumps(counts, indent=1))
    return 1 if any(counts[name] for name in MUST_BE_ZERO) or not counts["calls"] else 0


if __name__ == "__main__":
    sys.exit(main())
