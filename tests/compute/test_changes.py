"""What a call changes of the globals that it reaches is changed again when it is recalled, or it is not recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compute.conftest import Script

PROGRAM = """
import sys, threading, functools, re
import offload

def task(function):
    return function if "plain" in sys.argv else offload.task(effects="ignore")(function)

def ran(what):
    with open("ran.log", "a") as log:
        print(what, file=log)

CACHE, SEEN, REGISTER, SETTINGS, ROWS, PATTERNS, LOG, COUNT = {}, {}, {}, {}, {}, {}, [], 0

class Memo:
    count = 0
    def __init__(self):
        self.known, self.last = {}, None
    def get(self, x):
        if x not in self.known:
            self.known[x] = x * 10
        self.last = x
        return self.known[x]
    @functools.cached_property
    def table(self):
        return [1, 2, 3]
    @functools.cached_property
    def other(self):
        return Memo()

memo = Memo()

def fib(n):
    if n not in CACHE:
        CACHE[n] = n if n < 2 else fib(n - 1) + fib(n - 2)
    return CACHE[n]

@task
def fibonacci(n): ran("fibonacci"); return fib(n)

@task
def after(n): ran("after"); return fib(n) + len(CACHE)

@task
def first(x):
    ran("first"); new = x not in SEEN; SEEN[x] = True; return new

@task
def register(name):
    ran("register")
    if name not in REGISTER:
        REGISTER[name] = len(REGISTER)
    return REGISTER[name]

@task
def choose(n): ran("choose"); SETTINGS["n"] = n; return n

@task
def chosen(): ran("chosen"); return SETTINGS.get("n", 0)

@task
def step():
    global COUNT
    ran("step"); COUNT += 1; return COUNT

@task
def asked(x): ran("asked"); return memo.get(x), len(memo.known), memo.last

@task
def looked(i): ran("looked"); return memo.table[i]

@task
def met(i): ran("met"); return memo.other.get(i)

@task
def total(n):
    ran("total")
    if n not in ROWS:
        ROWS[n] = {"rows": list(range(n)), "set": {n}}
    return sum(ROWS[n]["rows"])

@task
def matches(text):
    ran("matches")
    if text not in PATTERNS:
        PATTERNS[text] = re.compile(text)
    return bool(PATTERNS[text].match("aab"))

@task
def outer(x): ran("outer"); return first(x), step(), fibonacci(x)
"""

RECALLED = """
out = [fibonacci(5), fibonacci(3), fibonacci(7), after(7), first(3), first(3), first(4), register("a"), register("b"),
    register("a"), choose(5), chosen(), choose(6), chosen(), step(), step(), COUNT, asked(1), asked(2), asked(1),
    memo.last, total(3), total(4), total(3), matches("a+b"), matches("b"), outer(3), outer(7), COUNT]
SEEN.clear(); REGISTER["z"] = 1
out += [first(3), register("q"), chosen()]
print(out, CACHE, SEEN, REGISTER, SETTINGS, ROWS, PATTERNS, memo.known)
"""

COMPUTED = """
@task
def append(x): ran("append"); LOG.append([x, NESTED]); return len(LOG)

NESTED = [[]]

@task
def gives(x):
    ran("gives")
    if x not in ROWS:
        ROWS[x] = [x]
    return ROWS[x]

@task
def shares(x):
    ran("shares"); ROWS[x] = LOG; return x

@task
def counts(): ran("counts"); Counting.count += 1; return Counting.count

class Refusing(type):
    def __setattr__(cls, name, value): super().__setattr__(name, value * 2)

class Counting(metaclass=Refusing):
    count = 1

rows = gives(5); rows.append(6)
out = [append(1), append(2), rows, gives(5), shares(1), counts(), counts()]
NESTED[0].append(1)
ROWS[1].append(5)
print(out, LOG, ROWS, Counting.count)
"""

CONTAINERS = """
import collections

class Known:
    table, count, last, names = {}, 0, None, collections.OrderedDict()
    @classmethod
    def get(cls, x):
        if x not in cls.table:
            cls.table[x] = x * 10
        cls.count += 1
        cls.last = [x]
        return cls.table[x]
    @staticmethod
    @functools.lru_cache
    def cached(x): return x

class Missing(dict):
    def __missing__(self, key):
        self[key] = key * 2
        return self[key]

MISSING, GROUPS, WORDS = Missing(), collections.defaultdict(list), collections.Counter()
RECENT = collections.OrderedDict()
LAST, MET, STACK = collections.deque(maxlen=3), {"a"}, [3, 1, 2]

@task
def known(x): ran("known"); return Known.get(x), Known.count, Known.cached(x)

@task
def missing(x): ran("missing"); return MISSING[x]

@task
def group(x): ran("group"); GROUPS[x % 2].append(x); return sorted(GROUPS)

@task
def count(text): ran("count"); WORDS.update(text); return WORDS.most_common(1)

@task
def recent(x):
    ran("recent")
    RECENT[x] = x in RECENT
    RECENT.move_to_end(x)
    if len(RECENT) > 2:
        RECENT.popitem(last=False)
    return list(RECENT.items())

@task
def last(x): ran("last"); LAST.append(x); return list(LAST)

@task
def meet(x): ran("meet"); MET.add(x); MET.discard("a"); return sorted(MET)

@task
def push(x): ran("push"); STACK.append(x); STACK.sort(); return len(STACK)

@task
def pop(): ran("pop"); return STACK.pop(0)

@task
def drop(x): ran("drop"); return SETTINGS.pop(x, None)

SETTINGS.update(a=1, b=2, c=3)
out = [known(1), known(2), known(1), Known.count, Known.last, missing(1), missing(2), missing(1), group(1), group(2),
    group(3), count("abca"), count("bbb"), *map(recent, (1, 2, 1, 3)), *map(last, range(5)), meet("b"), meet("c"),
    meet("b"), push(0), push(9), pop(), pop(), push(0), drop("b"), drop("b")]
STACK.append(7); MET.add("a"); GROUPS[5]
out += [push(1), meet("b"), group(1)]
print(out, Known.table, MISSING, GROUPS, WORDS, RECENT, LAST, sorted(MET), STACK, SETTINGS)
"""


def both(script: Script, text: str, runs: int = 3) -> list[list[str]]:
    """Run a program as it is without offload, and a few times with it; return what has run each time."""
    ran = []
    expected = script.output(text, "plain")
    for _ in range(runs):
        log = script.write("ran.log", "")
        done = script.run(text)
        assert (done.returncode, done.stdout) == (0, expected), done.stderr
        ran.append(log.read_text().split())
    return ran


def test_what_is_changed_again(script: Script) -> None:
    once, again, third = both(script, PROGRAM + RECALLED)
    assert len(once) > 20
    assert again == third == []


def test_what_cannot_be_changed_again_is_computed(script: Script) -> None:
    once, again, third = both(script, PROGRAM + COMPUTED)
    assert once == ["gives", "append", "append", "gives", "shares", "counts", "counts"]
    # The second one of these changes nothing.
    assert again == third == ["gives", "append", "append", "shares", "counts", "counts"]


def test_the_warning_says_how_to_let_it_not_count(script: Script) -> None:
    """With the name as it says it, the call is recorded."""
    script.write("units.py", "class Cache: pass\nureg = Cache()\nureg.all = []\ndef of(x): ureg.all.append(Cache())\n")
    text = """
import offload, units
log = []
@offload.task(ignore={})
def own(x): log.append(units.Cache()); return x
@offload.task(ignore={})
def other(x): units.of(x); return x
print(own(1), other(1))
"""
    done = script.run(text.format("[]", "[]"))
    assert '@offload.task(ignore=["log"])' in done.stderr
    assert '@offload.task(ignore=["units.ureg"])' in done.stderr
    done = script.run(text.format(["log"], ["units.ureg"]))
    assert (done.stdout, done.stderr) == ("1 1\n", "")


def test_containers_of_all_kinds(script: Script) -> None:
    once, again, third = both(script, PROGRAM + CONTAINERS)
    assert len(once) > 30
    assert again == third == []


def test_calls_in_another_order(script: Script) -> None:
    """What was recorded from one state is no answer in another."""
    text = "print([{}(x) for x in map(int, {!r})], CACHE, SEEN, REGISTER)\n"
    for name in ("fibonacci", "first", "register"):
        for order in ("345", "543", "453", "345"):
            both(script, PROGRAM + text.format(name, order), runs=1)


def test_a_property_that_is_kept(script: Script) -> None:
    """What can be kept again is; a call that keeps another object, which may be changed then, is computed."""
    once, again, third = both(script, PROGRAM + "print(looked(0), looked(2), looked(0), vars(memo)['known'])\n")
    assert once == ["looked"] * 3
    assert again == third == []
    text = "print(met(0), len(memo.other.known), met(2), memo.other.last, met(0))\n"
    assert both(script, PROGRAM + text) == [["met"] * 3, ["met"], ["met"]]


def test_while_another_thread_works_nothing_is_recorded(script: Script) -> None:
    text = """
def other():
    SEEN[3] = True
    done.wait()
done = threading.Event()
thread = threading.Thread(target=other)
thread.start()
print(first(3), first(4))
done.set(); thread.join()
print(first(5))
"""
    once, again = both(script, PROGRAM + text, runs=2)
    assert once == ["first", "first", "first"]
    assert again == ["first"]  # first(4): of the two others, the first changes nothing, and the last is alone


def test_calls_that_are_submitted(script: Script) -> None:
    """They begin from the state of the program, whatever others have left behind on the worker."""
    text = (
        PROGRAM
        + """
if __name__ == "__main__":
    print(offload.gather(first.map([3, 3, 4])), offload.gather(fibonacci.map(range(5))), CACHE, SEEN)
    print(first(3), first(3), first.submit(3).result(), SEEN, fibonacci(4), CACHE)
"""
    )
    for number in range(2):
        log = script.write("ran.log", "")
        done = script.run(text)
        assert done.stdout.splitlines() == [
            "[True, True, True] [0, 1, 1, 2, 3] {} {}",
            "True False False {3: True} 3 {1: 1, 0: 0, 2: 1, 3: 2, 4: 3}",
        ], done.stderr
        assert bool(log.read_text()) == (number == 0)


@pytest.mark.parametrize("name", ["mistune", "networkx"])
def test_caches_of_libraries(script: Script, name: str, home: Path) -> None:
    pytest.importorskip(name)
    text = {
        "mistune": "import mistune\nread = mistune.create_markdown()\ndef of(n): return read(f'# hi {n} *a*')\n",
        "networkx": "import networkx\ngraph = networkx.path_graph(9)\n"
        "def of(n): return networkx.shortest_path_length(graph, 0, n) + len(graph.edges)\n",
    }[name]
    ran = both(script, PROGRAM + text + "@task\ndef f(n): ran('f'); return of(n)\nprint([f(n) for n in (3, 4, 5)])\n")
    assert ran == [["f"] * 3, [], []]
