"""What several processes, threads or coroutines ask for at once is computed once, without a deployment too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from offload.tasks.claims import may_go_on
from tests.compute.conftest import Script

pytestmark = pytest.mark.usefixtures("home")

WORK = """
import asyncio, os, sys, threading, time
import offload

def mark(text="."):
    with open("log", "a") as file:
        file.write(text)

def meet(directory, count):
    '''Wait until so many processes are here.'''
    open(os.path.join(directory, str(os.getpid())), "w").close()
    end = time.monotonic() + 50
    while len(os.listdir(directory)) < count:
        assert time.monotonic() < end, "nobody else came"
        time.sleep(0.01)
"""


def log(script: Script) -> str:
    path = script.path / "log"
    return path.read_text() if path.exists() else ""


def together(script: Script, text: str, count: int) -> list[str]:
    """Run a program several times at once; return what each printed."""
    path = script.write("script.py", WORK + text)  # once: a program that begins must not find it half-written
    processes = [
        subprocess.Popen(
            [sys.executable, path, str(n)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=script.path,
        )
        for n in range(count)
    ]
    outputs = []
    for process in processes:
        with process:
            out, err = process.communicate(timeout=120)
            complaints = [line for line in err.splitlines() if not line.startswith("offload: ")]
            assert (process.returncode, complaints) == (0, [])
            outputs.append(out)
    return outputs


def test_direct_calls(script: Script) -> None:
    text = """
@offload.task(effects="ignore")
def slow(n):
    mark()
    time.sleep(0.05)
    return n * n

print([slow(n) for n in range(20)])
"""
    assert together(script, text, 4) == [f"{[n * n for n in range(20)]}\n"] * 4
    assert len(log(script)) == 20


def test_threads_and_coroutines(script: Script) -> None:
    text = """
@offload.task(effects="ignore")
def slow(n):
    mark()
    time.sleep(0.5)
    return n

@offload.task(effects="ignore")
async def waits(n):
    mark()
    await asyncio.sleep(0.5)
    return n

threads = [threading.Thread(target=lambda: print(slow(1))) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()

async def main():
    print(await asyncio.gather(*[waits(2) for _ in range(4)]))

asyncio.run(main())
"""
    assert together(script, text, 2) == ["1\n" * 4 + "[2, 2, 2, 2]\n"] * 2
    assert len(log(script)) == 2


def test_calls_that_go_in_batches(script: Script) -> None:
    text = """
@offload.task(effects="ignore")
def slow(n):
    mark()
    time.sleep(0.05)
    return n * n

with offload.Deployment(in_process=True):
    print(offload.gather(slow.map(range(30))))
"""
    assert together(script, text, 3) == [f"{[n * n for n in range(30)]}\n"] * 3
    assert len(log(script)) == 30


def test_what_a_batch_has_not_begun_is_not_waited_for_by_what_it_runs(script: Script) -> None:
    # outer(0) runs first, and calls the inner of a batch that waits behind it.
    text = """
@offload.task(effects="ignore")
def inner(n):
    return n

@offload.task(effects="ignore")
def outer(n):
    return inner(n) + sum(inner.map([n, n + 1])[k].result() for k in range(2))

with offload.Deployment(in_process=True):
    first = outer.map(range(5))
    second = inner.map(range(5))
    print(offload.gather(first), offload.gather(second))
"""
    outputs = together(script, text, 2)
    assert outputs == ["[1, 4, 7, 10, 13] [0, 1, 2, 3, 4]\n"] * 2


def test_what_is_not_recorded_is_waited_for_once(script: Script) -> None:
    (script.path / "here").mkdir()
    # The first fails when the others wait for it; these then compute side by side, or they would never meet.
    text = """
@offload.task(effects="ignore")
def f():
    mark()
    if sys.argv[1] == "0":
        mark("first")
        time.sleep(2)
        raise ValueError
    meet("here", 2)
    return 1

if sys.argv[1] != "0":
    while not os.path.exists("log"):
        time.sleep(0.01)
try:
    print(f())
except ValueError:
    print("failed")
"""
    assert together(script, text, 3) == ["failed\n", "1\n", "1\n"]


def test_a_lock_of_the_users_makes_no_circle(script: Script) -> None:
    text = """
LOCK = threading.RLock()

@offload.task(effects="ignore")
def load(x):
    with LOCK: return x + 1

@offload.task(effects="ignore")
def use(x):
    with LOCK:
        time.sleep(1)
        return load(x) * 2

def outside():
    with LOCK:
        time.sleep(1)
        print(load(5))

for first, second in ((lambda: print(use(1)), lambda: load(1)), (outside, lambda: load(5))):
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    time.sleep(0.5)
    threads[1].start()
    for thread in threads: thread.join()
"""
    assert together(script, text, 1) == ["4\n6\n"]


def test_an_event_loop_does_not_stand_still(script: Script) -> None:
    text = """
@offload.task(effects="ignore")
async def fetch(x):
    await asyncio.sleep(1.5)
    return x

@offload.task(effects="ignore")
def load(x):
    time.sleep(1)
    return x + 1

async def later():
    await asyncio.sleep(0.3)
    return load(5)

async def main():
    print(await asyncio.gather(fetch(5), later()))

if sys.argv[1] == "0":
    print(load(5), asyncio.run(fetch(5)))
else:
    asyncio.run(main())
"""
    assert sorted(together(script, text, 2)) == ["6 5\n", "[5, 6]\n"]


def eventually(what: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


LONG = """
@offload.task(effects="ignore")
def long(n):
    mark()
    if len(open("log").read()) == 1:
        time.sleep(600)
    return n

print(long(1))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_holder_that_has_ended_or_stands_still_is_not_waited_for(script: Script, number: int) -> None:
    with script.start(WORK + LONG) as first:
        try:
            assert eventually(lambda: log(script) == ".")
            with script.start(WORK + LONG) as second:
                time.sleep(0.5)
                assert log(script) == "."
                first.send_signal(number)
                assert second.communicate(timeout=60)[0] == "1\n"
        finally:
            first.kill()
    assert log(script) == ".."


@pytest.mark.parametrize("how", ["long(1)", "long.submit(1).result()"])
def test_nobody_waits_for_ever(script: Script, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A holder that goes on, and does not come to its end: after a while the other one computes it, too."""
    monkeypatch.setenv("OFFLOAD_WAIT_SECONDS", "1")
    with script.start(WORK + LONG) as first:
        try:
            assert eventually(lambda: log(script) == ".")
            with script.start(WORK + LONG.replace("print(long(1))", f"print({how})")) as second:
                out, err = second.communicate(timeout=60)
        finally:
            first.kill()
    assert out == "1\n", err
    assert f"process {first.pid} has not computed it in 1 s (OFFLOAD_WAIT_SECONDS); computing it here, too\n" in err
    assert log(script) == ".."


def test_a_command_is_not_waited_for_for_ever(home: Path, command: Path, tmp_path: Path) -> None:
    counter = tmp_path / "log"
    text = f"echo x >> {counter}; [ $(wc -l < {counter}) = 2 ] || sleep 600; echo done"
    words = [str(command), "run", "--no-detect", "--", "sh", "-c", text]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        try:
            assert eventually(counter.exists)
            again = {**os.environ, "OFFLOAD_WAIT_SECONDS": "1"}
            done = subprocess.run(words, cwd=tmp_path, env=again, capture_output=True, timeout=60, check=False)
        finally:
            first.terminate()
    assert (done.returncode, done.stdout) == (0, b"done\n"), done.stderr
    assert b"has not computed it in 1 s" in done.stderr


def test_the_wait_is_told(script: Script) -> None:
    with script.start(WORK + LONG) as first:
        try:
            assert eventually(lambda: log(script) == ".")
            with script.start(WORK + LONG) as second:
                assert second.stderr is not None
                line = second.stderr.readline()
                second.kill()
        finally:
            first.kill()
    assert line.startswith(f"offload: __main__:long: process {first.pid} is computing it already; waiting")


def test_whom_this_process_was_started_by_is_not_waited_for() -> None:
    assert not may_go_on(os.getppid())
    assert may_go_on(os.getpid())
    with subprocess.Popen(["sleep", "60"]) as process:
        assert may_go_on(process.pid)
        process.send_signal(signal.SIGSTOP)
        assert eventually(lambda: not may_go_on(process.pid))
        process.kill()


def commands(command: Path, count: int, cwd: Path, *words: str) -> list[bytes]:
    processes = [
        subprocess.Popen(
            [command, "run", "--no-detect", *words],  # else who begins later finds a log, which would be an input
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(count)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, outputs
    return [out for out, _ in outputs]


def test_commands(home: Path, command: Path, tmp_path: Path) -> None:
    counter = tmp_path / "log"
    text = f"echo x >> {counter}; sleep 1; echo done"
    assert commands(command, 4, tmp_path, "--", "sh", "-c", text) == [b"done\n"] * 4
    assert counter.read_text() == "x\n"


def test_many_commands(home: Path, command: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("".join(f"{n}\n" for n in range(12)))
    counter = tmp_path / "log"
    text = f"echo x >> {counter}; sleep 0.2; echo $1"
    wanted = b"".join(b"%d\n" % n for n in range(12))
    words = ("--each", "list", "-j", "3", "--", "sh", "-c", text, "-", "{}")
    assert commands(command, 3, tmp_path, *words) == [wanted] * 3
    assert len(counter.read_text()) == 24


def test_fresh_does_not_wait(home: Path, command: Path, tmp_path: Path) -> None:
    counter = tmp_path / "log"
    text = f"echo x >> {counter}; sleep 1; echo done"
    assert commands(command, 3, tmp_path, "--fresh", "--", "sh", "-c", text) == [b"done\n"] * 3
    assert counter.read_text() == "x\n" * 3


def test_a_command_that_runs_itself_is_not_waited_for(home: Path, command: Path, tmp_path: Path) -> None:
    (tmp_path / "again.sh").write_text(
        f"[ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; {command} run -- sh again.sh; }}; echo end\n"
    )
    assert commands(command, 1, tmp_path, "--input", "again.sh", "--", "sh", "again.sh") == [b"end\nend\n"]
