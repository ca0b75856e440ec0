"""A deployment on another machine: from a prepared host to a first result, and a large input.

The other machine is a host of the test lab (`tests/lab`, as root on Linux): its own network, file system and `sshd`, on
this machine's processors, so that there is no network in the way. `offload up ssh://` through its tunnel, then a
process that gets a result, against what one does by hand: `ssh host dask scheduler`, `ssh host dask worker`, then a
process that connects to the scheduler's address. Both sides have as many workers, nannies and the dashboard; the side
by hand starts scheduler, workers and client at the same moment, and has no TLS. The large input is a file that the
other side has never seen, and a command that reads it, against `scp` and the same command by `ssh`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.harness import PATIENCE, BenchmarkError, Context, Row, interleave
from tests.lab.lab import Lab

WORKERS = 2
PYTHON = "/shared/venv/bin/python"
RESULT = """
import offload
with offload.client("h1") as client:
    print(client.submit(sum, [1, 2]).result())
"""
BY_HAND = """
from distributed import Client
with Client("tcp://{address}:8786", timeout=60) as client:
    print(client.submit(sum, [1, 2]).result())
"""


def measure(context: Context) -> list[Row]:
    lab = Lab.up()
    try:
        return [*_first_result(context, lab), _large_input(context, lab)]
    finally:
        lab.down()


def _checked(done: subprocess.CompletedProcess[str], expected: str) -> None:
    if done.returncode or done.stdout.strip() != expected:
        raise BenchmarkError(f"{expected!r} was expected, not {done.stdout!r}: {done.stderr[-500:]}")


def _python(lab: Lab, script: str) -> subprocess.CompletedProcess[str]:
    return lab.run([lab.laptop_venv / "bin/python", "-c", script], timeout=PATIENCE)


def _first_result(context: Context, lab: Lab) -> list[Row]:
    assert lab.offload_venv

    def ours(environment: str) -> float:
        start = time.perf_counter()
        words = ["up", "ssh://alice@h1", "--environment", environment, "--workers", str(WORKERS)]
        up = lab.offload(*words, timeout=PATIENCE)
        if up.returncode:
            raise BenchmarkError(up.stderr)
        _checked(_python(lab, RESULT), "3")
        seconds = time.perf_counter() - start
        lab.offload("down", "h1", timeout=PATIENCE)
        return seconds

    def by_hand() -> float:
        address = lab.host("h1").address
        dask = "/shared/venv/bin/dask"
        commands = (
            f"exec {dask} scheduler --host {address} --port 8786",
            f"exec {dask} worker tcp://{address}:8786 --host {address} --nworkers {WORKERS} --nthreads 1",
        )
        start = time.perf_counter()
        null = subprocess.DEVNULL
        running = [lab.start(["ssh", "alice@h1", c], stdin=null, stdout=null, stderr=null) for c in commands]
        try:
            _checked(_python(lab, BY_HAND.format(address=address)), "3")
            return time.perf_counter() - start
        finally:
            for process in running:
                process.kill()
                process.wait(PATIENCE)
            lab.host("h1").exec("pkill -9 -u alice dask; true")

    sides = {"ours": lambda: ours(f"python:{PYTHON}"), "theirs": by_hand}
    if context.size != "smoke":
        sides["sync"] = lambda: ours("sync")
    rounds = context.pick(5, 3, 1)
    samples = interleave(sides, rounds, 0 if context.size == "smoke" else 1)
    peer = "`ssh host dask scheduler`, `ssh host dask worker`, a client"
    note = f"{WORKERS} workers with nannies, dashboard; TLS and tunnel on our side only"
    command = "offload up ssh://host && python -c 'offload.client().submit(...)'"
    rows = [Row("prepared host -> first result", command, samples["ours"], peer, samples["theirs"], note=note)]
    if "sync" in samples:
        more = "the same, and the environment there is checked, and was made before"
        rows.append(Row("the same with `sync`", command, samples["sync"], peer, samples["theirs"], note=more))
    return rows


def _large_input(context: Context, lab: Lab) -> Row:
    size = context.pick(1024, 256, 4) * 2**20
    file = lab.home / "large"

    def new_file() -> None:
        with file.open("wb") as stream:
            for _ in range(size // 2**20):
                stream.write(os.urandom(2**20))
            stream.flush()
            os.fsync(stream.fileno())

    def ours() -> float:
        new_file()
        start = time.perf_counter()
        _checked(lab.offload("run", "-q", "--on", "h1", "wc", "-c", "large", timeout=PATIENCE), f"{size} large")
        return time.perf_counter() - start

    def by_hand() -> float:
        new_file()
        start = time.perf_counter()
        copy = lab.run(["scp", "-q", "large", "alice@h1:large"], timeout=PATIENCE)
        if copy.returncode:
            raise BenchmarkError(copy.stderr)
        _checked(lab.ssh("alice@h1", "wc -c large", timeout=PATIENCE), f"{size} large")
        return time.perf_counter() - start

    up = lab.offload("up", "ssh://alice@h1", "--environment", f"python:{PYTHON}", "--workers", "1", timeout=PATIENCE)
    if up.returncode:
        raise BenchmarkError(up.stderr)
    samples = interleave({"ours": ours, "theirs": by_hand}, context.pick(3, 2, 1), 0)
    return Row(
        f"a new input of {size // 2**20} MiB, through the tunnel",
        "offload run --on host -- wc -c large",
        samples["ours"],
        "`scp large host:` and `ssh host wc -c large`",
        samples["theirs"],
        note="ours is hashed on both sides, brought to disk (fsync), copied for the command, recorded",
    )


if __name__ == "__main__":
    sys.exit("run it with: python benchmarks/run.py --only remote")
