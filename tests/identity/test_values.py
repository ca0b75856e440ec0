"""Values of many types, nested at random: the same bytes in every process, and back to the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from offload.identity.values.decode import decode
from offload.identity.values.encode import encode, identify

MADE = """
import datetime, decimal, enum, fractions, ipaddress, pathlib, random, sys, uuid, zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
import attrs, dataclasses, numpy as np, pandas as pd, polars as pl, pyarrow as pa, scipy.sparse as sp

class Colour(enum.Enum):
    RED, BLUE = "red", "blue"
class Flags(enum.Flag):
    A, B = 1, 2
@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object = None
@attrs.frozen
class Size:
    w: object
Pair = namedtuple("Pair", "one two")
class Text(str): pass
class Many(list): pass
random = random.Random(int(sys.argv[1]))

def word():
    return "".join(random.choice("abcdé\\udc80") for _ in range(random.randrange(5)))

def atom():
    n = random.randrange(-1000, 1000)
    return random.choice([
        lambda: n, lambda: n / 7, lambda: n * 2**70, lambda: complex(n, -0.0), lambda: word(),
        lambda: word().encode("utf8", "surrogatepass"),
        lambda: None, lambda: ..., lambda: n > 0, lambda: float(random.choice(["nan", "inf", "-inf", "-0.0"])),
        lambda: datetime.datetime(2000, 1, 1) + datetime.timedelta(n), lambda: datetime.date.fromordinal(n + 2000),
        lambda: datetime.timedelta(n, n % 7), lambda: decimal.Decimal(n) / 8, lambda: fractions.Fraction(n, 9),
        lambda: uuid.UUID(int=n + 5000), lambda: pathlib.PurePosixPath("/a") / str(n),
        lambda: random.choice(list(Colour)),
        lambda: random.choice([*Flags, Flags(3)]), lambda: range(n), lambda: slice(n, None, 2),
        lambda: ipaddress.ip_address(n + 5000),
        lambda: zoneinfo.ZoneInfo("UTC"), lambda: np.float32(n), lambda: np.int8(n % 100),
        lambda: np.datetime64(n, "D"), lambda: Text(n),
    ])()

def hashable(depth=2):
    kind = random.randrange(5) if depth else 0
    if kind < 2: return atom() if random.random() < 0.9 else "again"
    if kind == 2: return tuple(hashable(depth - 1) for _ in range(random.randrange(4)))
    if kind == 3: return frozenset(filter(fits, (hashable(depth - 1) for _ in range(random.randrange(4)))))
    return Point(hashable(depth - 1))

def fits(value):
    try: hash(value)
    except TypeError: return False
    return value == value

def numbers(n=5):
    return [random.randrange(100) for _ in range(n)]

def library():
    n = numbers(6)
    return random.choice([
        lambda: np.array(n), lambda: np.asfortranarray(np.array(n, "f4").reshape(2, 3)),
        lambda: np.array(n)[::2], lambda: np.array(n[0]),
        lambda: np.array([(a, b) for a, b in zip(n, n)], np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        lambda: np.array([n, word(), None], object), lambda: np.array(n, "datetime64[s]"),
        lambda: np.ma.masked_array(n, [0, 1, 0, 1, 0, 0]),
        lambda: pd.Series(n, name=word().encode("utf8", "replace").decode()),
        lambda: pd.DataFrame({"a": n, "b": list(map(str, n))}), lambda: pd.Index(n),
        lambda: pd.Categorical(list(map(str, n))),
        lambda: pd.MultiIndex.from_tuples([(a, str(a)) for a in n]), lambda: pd.Timestamp(n[0], unit="D"),
        lambda: pa.table({"a": n}), lambda: pa.array([None, *n]), lambda: pl.DataFrame({"a": n}),
        lambda: pl.Series("s", n), lambda: sp.csr_array(np.diag(n)),
    ])()

def value(depth=3):
    kind = random.randrange(14) if depth else random.randrange(3)
    inner = lambda: [value(depth - 1) for _ in range(random.randrange(4))]
    keys = lambda: list(filter(fits, (hashable(1) for _ in range(3))))
    return [
        atom, library, hashable, inner, lambda: tuple(inner()), lambda: {k: value(depth - 1) for k in keys()},
        lambda: set(keys()), lambda: Point(value(depth - 1), value(depth - 1)), lambda: Size(value(depth - 1)),
        lambda: Pair(value(depth - 1), 1), lambda: deque(inner(), 9), lambda: Many(inner()),
        lambda: defaultdict(list, {k: value(depth - 1) for k in keys()}), lambda: Counter(map(str, numbers())),
    ][kind]()

VALUES = [value() for _ in range(int(sys.argv[2]))]
"""
PROGRAM = (
    MADE
    + """
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode, identify
for one in VALUES:
    data = encode(one)
    again = decode(data)
    print(identify(one), encode(again) == data, type(again) is type(one), repr(one) if isinstance(one, int) else "")
"""
)


def lines(seed: str, recipe: int, count: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-B", "-W", "ignore", "-c", PROGRAM, str(recipe), str(count)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.real
def test_the_same_in_every_process_and_back() -> None:
    found = lines("0", 1, 600)
    assert found == lines("4321", 1, 600)
    assert len(found) == 600
    assert [line for line in found if line.split()[1:3] != ["True", "True"]] == []


def test_padding_does_not_count() -> None:
    dtype = np.dtype([("a", "i1"), ("b", "f8"), ("c", [("d", "i2"), ("e", "i8")])], align=True)
    arrays = []
    for fill in (0, 255):
        array = np.frombuffer(bytearray([fill] * dtype.itemsize * 3), dtype)
        array["a"], array["b"], array["c"]["d"], array["c"]["e"] = 1, 2.0, 3, [4, 5, 6]
        arrays.append(array)
    one, other = arrays
    assert one.tobytes() != other.tobytes()
    assert identify(one) == identify(other)
    again = decode(encode(other))
    assert again.dtype == dtype
    assert np.array_equal(again, one)
    other["c"]["e"][1] = 7
    assert identify(one) != identify(other)


PEAK = """
import sys, tracemalloc
import numpy as np, pandas as pd
from offload.identity.values.encode import identify
values = {
    "view": np.zeros(30_000_000)[:20_000_000].reshape(4, -1),
    "frame": pd.DataFrame({"a": np.zeros(10_000_000), "b": np.zeros(10_000_000)}),
}
identify(pd.DataFrame({"a": np.zeros(2)}))
value = values[sys.argv[1]]
tracemalloc.start()
identify(value)
print(tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.real
@pytest.mark.parametrize("kind", ["view", "frame"])
def test_large_values_are_hashed_where_they_lie(kind: str) -> None:
    done: Any = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PEAK, kind], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 16_000_000  # a tenth of the value
