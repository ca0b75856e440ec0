"""A program that workers cannot import may hold locks, pools and other things of its process, as any program may."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Script

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("home")]

HOLDS = """
import contextvars, functools, json, logging, queue, re, struct, threading, weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import offload

LOCK, RLOCK, CONDITION, EVENT = threading.Lock(), threading.RLock(), threading.Condition(), threading.Event()
SEMAPHORE, BARRIER, QUEUE = threading.BoundedSemaphore(2), threading.Barrier(1), queue.Queue()
HANDLER, PATTERN = logging.StreamHandler(), re.compile("a+")
SET = threading.Event()
SET.set()
QUEUE.put("first")
LIMIT = contextvars.ContextVar("LIMIT", default=4)
CHOSEN = contextvars.ContextVar("CHOSEN", default=4)
CHOSEN.set(8)
NOTHING = contextvars.ContextVar("NOTHING")

class Own(threading.local):
    def __init__(self):
        self.unit = "m"

LOCAL, OWN = threading.local(), Own()
LOCAL.x = 9
THREADS, PROCESSES = ThreadPoolExecutor(2), ProcessPoolExecutor(1)
WEAK = weakref.WeakValueDictionary()
WEAK["own"] = Own
REFERENCE = weakref.ref(Own)
DECODER, STRUCT = json.JSONDecoder(parse_int=float), struct.Struct("<i")
KEY = functools.cmp_to_key(lambda a, b: b - a)
PLUS = np.frompyfunc(lambda a: a + 1, 1, 1)

@functools.lru_cache(maxsize=7)
def cached(x):
    return x + 1

class Box:
    lock = threading.Lock()

    def __init__(self, x):
        self.guard, self.x = threading.RLock(), x

    @functools.cache
    def get(self):
        with self.guard, Box.lock:
            return self.x

BOX = Box(5)

def guarded():
    with LOCK, RLOCK, CONDITION, SEMAPHORE:
        return BARRIER.wait()

CASES = {
    "guarded": (guarded, 0),
    "events": (lambda: (EVENT.is_set(), SET.is_set(), QUEUE.qsize()), (False, True, 1)),
    "logging": (lambda: (HANDLER.level, bool(PATTERN.match("aa"))), (0, True)),
    "contexts": (lambda: (LIMIT.get(), CHOSEN.get(), NOTHING.get(1)), (4, 8, 1)),
    "locals": (lambda: (LOCAL.x, OWN.unit), (9, "m")),
    "threads": (lambda: THREADS.submit(abs, -3).result(), 3),
    "processes": (lambda: PROCESSES.submit(abs, -3).result(), 3),
    "weak": (lambda: (len(WEAK), WEAK["own"]().unit, REFERENCE()().unit), (1, "m", "m")),
    "C": (lambda: (DECODER.decode("[1]"), STRUCT.pack(1), sorted([1, 2], key=KEY)), ([1.0], b"\\1\\0\\0\\0", [2, 1])),
    "ufunc": (lambda: PLUS(3), 4),
    "cached": (lambda: (cached(3), cached.cache_parameters()["maxsize"]), (4, 7)),
    "box": (lambda: (BOX.get(), Box(6).get()), (5, 6)),
}
for name, (function, expected) in CASES.items():
    try:
        found = offload.task(function, effects="ignore").submit().result()
    except Exception as exc:
        found = exc
    print(name, "right" if found == expected else found)
PROCESSES.shutdown()
"""


def test_what_a_program_holds(script: Script) -> None:
    found = [line.partition(" ") for line in script.output(HOLDS).splitlines()]
    assert {name: how for name, _, how in found if how != "right"} == {}
    assert len(found) == 12


HELD = """
import threading, weakref
from concurrent.futures import ThreadPoolExecutor
import offload

LOCK, RLOCK, POOL, DEAD = threading.Lock(), threading.RLock(), ThreadPoolExecutor(1), weakref.ref(type("T", (), {}))
LOCK.acquire()
RLOCK.acquire()
POOL.shutdown()
import gc; gc.collect()
for function in (lambda: LOCK.locked(), lambda: bool(RLOCK), lambda: POOL.submit(abs, 1), lambda: DEAD()):
    try:
        print(offload.task(function, effects="ignore").submit().result())
    except offload.IdentityError as exc:
        print(exc.message)
"""


def test_what_is_in_use_stays_where_it_is(script: Script) -> None:
    lines = script.output(HELD).splitlines()
    reasons = ["a lock is held", "an RLock is held", "a ThreadPoolExecutor has work, or has ended", "is dead"]
    assert len(lines) == len(reasons)
    for line, reason in zip(lines, reasons, strict=True):
        assert "cannot be sent to a worker" in line
        assert reason in line
