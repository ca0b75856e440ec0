"""Programs that use tasks, from their start to their end, however that comes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psutil
import pytest

from tests.compute.conftest import Log, Script

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("home")]

TASKS = """
import os, sys, time
import offload

log = sys.argv[1]

def mark():
    with open(log, "a") as file:
        file.write(".")

class Point:
    def __init__(self, x):
        self.x = x

class Mine(Exception):
    pass

@offload.task
def square(x):
    mark()
    return x * x

@offload.task
def point(x):
    mark()
    return Point(x)

@offload.task
def fail(p):
    raise Mine(p.x)

@offload.task
def slow(x, seconds):
    mark()
    time.sleep(seconds)
    return x
"""


def eventually(what: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def ended(processes: list[psutil.Process]) -> bool:
    """Whether none runs; who adopts them may take its time to fetch their exit status."""
    for process in processes:
        try:
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return False
        except psutil.NoSuchProcess:
            continue
    return True


def test_without_a_guard(script: Script, log: Log) -> None:
    text = TASKS + "print(offload.gather(square.map(range(5))), point.submit(3).result().x)\n"
    assert script.output(text, log.path) == "[0, 1, 4, 9, 16] 3\n"
    assert log.runs == 6
    assert script.output(text, log.path) == "[0, 1, 4, 9, 16] 3\n"
    assert log.runs == 6


def test_classes_and_exceptions_of_the_script(script: Script, log: Log) -> None:
    text = TASKS + (
        "p = point.submit(3)\n"
        "q = offload.task(lambda p: (p.x, type(p).__name__)).submit(p)\n"
        "print(type(p.result()) is Point, q.result())\n"
        "try: fail.submit(p).result()\n"
        "except Mine as exc: print('mine', exc.args)\n"
        "print(point(3).x)\n"
    )
    assert script.output(text, log.path) == "True (3, 'Point')\nmine (3,)\n3\n"
    assert log.runs == 1


def test_what_is_under_way_at_the_end_is_recorded(script: Script, log: Log) -> None:
    text = TASKS + "futures = [slow.submit(b'x' * 20_000_000, 0.1), *slow.map(range(8), [0.3] * 8)]\n"
    script.output(text, log.path)
    assert log.runs == 9
    assert script.output(text + "print([f.recalled for f in futures])", log.path) == f"{[True] * 9}\n"


def test_a_long_wait_at_the_end_is_announced(script: Script, log: Log) -> None:
    done = script.run(TASKS + "slow.submit(1, 4)\n", log.path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "offload: waiting for 1 call to finish and be recorded (Ctrl-C ends them)\n"


def test_an_exception_ends_the_script(script: Script, log: Log) -> None:
    done = script.run(TASKS + "futures = slow.map(range(4), [0.2] * 4)\nraise SystemExit('over')\n", log.path)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "over")
    assert log.runs == 4


@pytest.mark.parametrize("where", ["gather", "sleep", "end"])
def test_ctrl_c(script: Script, log: Log, where: str) -> None:
    how = {"gather": "offload.gather(futures)", "sleep": "time.sleep(100)", "end": "pass"}[where]
    text = TASKS + f"futures = slow.map(range(10), [60] * 10)\n{how}\n"
    with script.start(text, log.path) as process:
        assert eventually(lambda: log.runs >= 1)
        if where == "end":
            assert process.stderr is not None
            assert "Ctrl-C ends them" in process.stderr.readline()
        children = below(process.pid)
        assert len(children) >= 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    lines = err.splitlines()
    if where == "end":
        assert lines == []
    else:
        assert process.returncode in (1, -signal.SIGINT)
        assert lines[-1] == "KeyboardInterrupt"
        assert err.count("Traceback") == 1
    assert eventually(lambda: ended(children))


def test_ctrl_c_while_the_cluster_starts(script: Script, log: Log) -> None:
    text = TASKS + "future = slow.submit(1, 60)\nprint('begun', flush=True)\nfuture.result()\n"
    with script.start(text, log.path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        eventually(lambda: bool(below(process.pid)))
        children = below(process.pid)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode in (1, -signal.SIGINT)
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert err.count("Traceback") == 1
    assert eventually(lambda: ended(children))


def test_a_killed_script_leaves_no_process(script: Script, log: Log) -> None:
    with script.start(TASKS + "slow.submit(1, 100).result()\n", log.path) as process:
        assert eventually(lambda: log.runs == 1)
        children = below(process.pid)
        process.kill()
        process.communicate(timeout=20)
    assert len(children) >= 3
    assert eventually(lambda: ended(children), 30)


def test_a_killed_script_with_a_child_of_its_own_leaves_no_cluster(script: Script, log: Log) -> None:
    text = TASKS + "square.submit(1).result()\nif not os.fork():\n    time.sleep(60)\n    os._exit(0)\ntime.sleep(60)\n"
    with script.start(text, log.path) as process:
        assert eventually(lambda: log.runs == 1)
        assert eventually(lambda: sum(p.cmdline()[1:2] != ["-c"] for p in psutil.Process(process.pid).children()) == 1)
        children = below(process.pid)
        (fork,) = [p for p in psutil.Process(process.pid).children() if p.cmdline()[1:2] != ["-c"]]
        process.kill()
        try:
            assert eventually(lambda: ended([p for p in children if p != fork]), 30)
            assert not ended([fork])
        finally:
            fork.kill()
        process.communicate(timeout=20)


def test_a_killed_cluster_is_reported_and_replaced(script: Script, log: Log) -> None:
    text = (
        TASKS
        + """
future = slow.submit(1, 100)
while not os.path.exists(log): time.sleep(0.02)
print("begun", flush=True)
try: future.result(60)
except offload.OffloadError as exc: print(type(exc).__name__, exc.hint)
print(square.submit(3).result(60))
"""
    )
    with script.start(text, log.path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        (cluster,) = psutil.Process(process.pid).children()
        cluster.kill()
        out, _ = process.communicate(timeout=60)  # Dask has its say on stderr
    assert out == ("EngineLostError submit again: what has been recorded is recalled, the rest runs anew\n9\n")


def test_a_cluster_that_cannot_start(script: Script, log: Log) -> None:
    script.write("distributed.py", "raise ImportError('no such luck')\n")
    text = (
        TASKS
        + """
for future in square.map(range(3)):
    try: future.result(60)
    except offload.OffloadError as exc: print(exc.message.splitlines()[0])
"""
    )
    out = script.output(text, log.path)
    assert out.count("the local Dask cluster did not start") == 3


MODULE = """
LIMIT = 10
import threading
lock = threading.Lock()
def helper(x):
    return x + LIMIT
class Shape:
    def __init__(self, x): self.x = x
    def area(self): return self.x * 2
"""


def test_a_module_that_is_edited_while_the_script_runs(script: Script, log: Log) -> None:
    script.write("helpers.py", MODULE)
    text = """
import sys
import offload, helpers
from helpers import Shape, helper
@offload.task
def plain(x): return helper(x)
@offload.task
def through_module(x): return helpers.helper(x) + helpers.LIMIT
@offload.task
def of_argument(shape): return shape.area()
@offload.task
def imports(x):
    import helpers
    return helpers.helper(x)
open("helpers.py", "w").write(open("helpers.py").read().replace("x + LIMIT", "x - LIMIT").replace("x * 2", "x * 3"))
print(plain.submit(1).result(), through_module.submit(1).result(), of_argument.submit(Shape(4)).result())
try: print(imports.submit(1).result())
except offload.IdentityError as exc: print("refused")
helpers.LIMIT = 100
print(plain.submit(1).result(), through_module.submit(1).result())
print(plain(1), through_module(1), of_argument(Shape(4)), imports(1))
"""
    first = script.output(text)
    assert first.splitlines()[0] == "11 21 8"
    assert first.splitlines()[1] in ("11", "refused")
    assert first.splitlines()[2:] == ["101 201", "101 201 8 101"]


def test_a_broken_file_does_not_hide_the_result(script: Script) -> None:
    text = """
import offload
class Thing:
    def value(self): return 5
@offload.task
def work(thing): return Thing().value()
open(__file__, "w").write("def broken(:\\n  '''")
print(work(1), work(1))
"""
    assert script.output(text) == "5 5\n"


def test_forked_processes_of_multiprocessing(script: Script, log: Log) -> None:
    text = (
        TASKS
        + """
import multiprocessing
def work(n): return square(n) + square.submit(0).result()
print(square.submit(0).result())
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(pool.map(work, range(6)))
print(offload.gather(square.map(range(7))))
"""
    )
    assert script.output(text, log.path) == "0\n[0, 1, 4, 9, 16, 25]\n[0, 1, 4, 9, 16, 25, 36]\n"
    assert log.runs == 7


def test_subprocesses_of_a_task_read_no_input(script: Script) -> None:
    text = """
import offload, subprocess
@offload.task(effects="ignore")
def cat(): return subprocess.run(["cat"], stdout=subprocess.PIPE).stdout
print(cat.submit().result(30))
"""
    assert script.output(text) == "b''\n"


@pytest.mark.parametrize("kind", ["calls", "maps"])
def test_sixteen_processes_at_once(script: Script, log: Log, kind: str) -> None:
    text = TASKS + (
        "import random\n"
        "numbers = random.Random(int(sys.argv[2])).choices(range(60), k=100)\n"
        "assert [square(n) for n in numbers] == [n * n for n in numbers]\n"
        if kind == "calls"
        else "numbers = list(range(60))\n"
        "assert [square.submit(n).result() if n > 58 and int(sys.argv[2]) < 2 else square(n) for n in numbers]"
        " == [n * n for n in numbers]\n"
    )
    processes = [script.start(text, log.path, str(number)) for number in range(16)]
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert (process.returncode, out, err) == (0, "", "")
    before = log.runs
    assert before >= 40
    check = TASKS + "assert [square(n) for n in range(60)] == [n * n for n in range(60)]\n"
    script.output(check, log.path)
    assert log.runs <= before + (60 if kind == "calls" else 0)
    again = log.runs
    script.output(check, log.path)
    assert log.runs == again
