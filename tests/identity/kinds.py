"""Values of many kinds, each made by an expression; and classes for some of them."""

# ruff: noqa: F401 - the expressions use what is imported

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import operator
import pathlib
import random
import re
import types
import typing
import uuid
import zoneinfo
from typing import Any

import attrs
import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import scipy.sparse as sp
import sympy  # type: ignore[import-untyped]


class Plain:
    def __init__(self, x: Any) -> None:
        self.x = x

    def method(self) -> Any:
        return self.x


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a


class SlotsAndDict(Slots):
    def __init__(self, a: Any) -> None:
        super().__init__(a)
        self.more = a


class State:
    def __init__(self, x: Any) -> None:
        self.x, self._cache = x, object()

    def __getstate__(self) -> Any:
        return {"x": self.x}

    def __setstate__(self, state: Any) -> None:
        self.x, self._cache = state["x"], object()


class Reduced:
    def __init__(self, x: Any) -> None:
        self.x = x

    def __reduce__(self) -> Any:
        return Reduced, (self.x,)


class Text(str):
    unit: Any


class Number(int):
    pass


class Items(list[Any]):
    pass


class Table(dict[Any, Any]):
    pass


class Names(set[Any]):
    pass


class Day(datetime.date):
    pass


class Colour(enum.Enum):
    RED = 1
    GREEN = "g"


class Level(enum.IntEnum):
    LOW = 1


class Word(str, enum.Enum):  # noqa: UP042 - the old way is to be tried
    YES = "yes"


class Flag(enum.Flag):
    A = 1
    B = 2


class Failed(Exception):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Pair(typing.NamedTuple):
    a: int
    b: str = "b"


Old = collections.namedtuple("Old", "a b")  # noqa: PYI024 - the old kind is to be tried


@dataclasses.dataclass
class Data:
    a: Any
    b: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Frozen:
    a: Any


@attrs.define
class Attrs:
    a: Any


@attrs.frozen(slots=False)
class FrozenAttrs:
    a: Any


class Struct(msgspec.Struct):
    a: Any


class Model(pydantic.BaseModel):
    a: int
    b: list[str] = []


class Unit(np.ndarray[Any, Any]):
    unit: Any = None


def with_attribute(value: Any, **attributes: Any) -> Any:
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


def read_only(value: Any) -> Any:
    value.flags.writeable = False
    return value


def raised(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


MAKES = """
None
True
0
-1
2**64
-2**200
0.0
-0.0
1.5
float("inf")
float("nan")
-float("nan")
1j
complex(-0.0, float("nan"))
""
"é\\U0001f600"
"\\ud800"
"a" * 1000
b""
bytes(range(256))
bytearray(b"x")
...
NotImplemented
[]
[1, "a", None]
[[[]]]
list(range(100))
[1.5] * 50
()
(1,)
(1, (2, [3]))
{}
{"b": 1, "a": 2}
{1: {2: 3}}
{(1, 2): "x"}
{None: 1, True: 2, "a": 3}
set()
{1, 2, 3}
{"a", "b", "c", (1, "d")}
frozenset({"x", "y", "z"})
{frozenset({"a", "b"}), frozenset({"c"})}
range(3)
range(0, 10, 2)
slice(1, None, 2)
memoryview(b"abc").tobytes()
array.array("d", [1.0, 2.0])
array.array("u", "ab")
datetime.date(2024, 2, 29)
datetime.datetime(2024, 2, 29, 1, 2, 3, 4)
datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
datetime.time(1, 2, fold=1)
datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Zurich"))
datetime.timedelta(1, 2, 3)
datetime.timezone(datetime.timedelta(hours=2), "here")
zoneinfo.ZoneInfo("UTC")
decimal.Decimal("1.10")
decimal.Decimal("-0")
decimal.Decimal("NaN")
fractions.Fraction(1, 3)
uuid.UUID(int=5)
ipaddress.ip_address("::1")
ipaddress.ip_network("10.0.0.0/8")
pathlib.PurePosixPath("a/b")
pathlib.Path("/x")
re.compile("a+", re.I)
re.compile(b"a")
random.Random(5)
types.SimpleNamespace(b=1, a=2)
types.MappingProxyType({"a": 1})
collections.OrderedDict(b=1, a=2)
collections.defaultdict(list, a=[1])
collections.Counter("aab")
collections.deque([1, 2], 3)
collections.deque([1])
collections.ChainMap({"a": 1}, {"b": 2})
collections.UserDict(a=1)
collections.UserList([1])
operator.itemgetter(1, 2)
operator.attrgetter("a.b")
operator.methodcaller("f", 1, a=2)
functools.partial(int, base=2)
functools.partial(len)
len
int
[].append.__name__
bytes.fromhex
str.upper
Plain
Colour
collections.OrderedDict
types.ModuleType
functools
list[int]
dict[str, list[int]]
str
typing.Optional[int]
typing.Callable[[int], str]
typing.Literal["a"]
typing.Any
Plain(1)
Plain([Plain(2), {"a": Plain(3)}])
Plain(1).method
Slots(1)
with_attribute(Slots(1), b=2)
SlotsAndDict(1)
State([1])
Reduced("x")
with_attribute(Reduced("x"), y=2)
Text("a")
with_attribute(Text("a"), unit="m")
Number(3)
with_attribute(Number(3), unit="m")
Items([1, 2])
with_attribute(Items([1]), unit="m")
Table(a=1)
Names({"a", "b"})
Day(2024, 1, 2)
with_attribute(Day(2024, 1, 2), calendar="x")
Colour.RED
Colour.GREEN
Level.LOW
Word.YES
Flag.A
Flag.A | Flag.B
Flag(3)
Pair(1)
Pair(1, "c")
Old(1, 2)
Data(1)
Data(1, [Data(2)])
Frozen(1)
Frozen((1, "a"))
Attrs([1])
FrozenAttrs(1)
Struct([1])
Model(a=1)
Model(a=1, b=["x"])
ValueError("x")
KeyError("a", 1)
OSError(2, "gone", "file")
UnicodeDecodeError("utf8", b"x", 0, 1, "bad")
ValueError("y", [1])
raised(ValueError("x"), KeyError("y"))
with_attribute(ValueError("x"), code=3)
StopIteration(5)
ImportError("x", name="n")
np.int8(1)
np.float32(1.5)
np.float64(-0.0)
np.bool_(True)
np.str_("a")
np.datetime64("2024-01-01", "D")
np.timedelta64(5, "s")
np.complex64(1j)
np.dtype("f4")
np.dtype([("a", "i4"), ("b", "f8")], align=True)
np.arange(3)
np.arange(6.0).reshape(2, 3)
np.asfortranarray(np.arange(6).reshape(2, 3))
np.arange(10)[::2]
np.array(5)
np.array([])
np.zeros((0, 3))
np.array(["a", "bc"])
np.array([b"a"])
np.array([1, "a", None], object)
read_only(np.arange(3))
np.array([True, False])
np.array(["2024-01-01"], "datetime64[D]")
np.arange(3, dtype=">i4")
np.array([(1, 2.0)], np.dtype([("a", "i1"), ("b", "f8")], align=True))
np.ma.masked_array([1, 2], [0, 1])
np.ma.masked_array([1, 2], [0, 1], fill_value=9, hard_mask=True)
np.array([float("nan"), -0.0])
np.matrix([[1, 2]])
np.arange(3).view(np.recarray)
with_attribute(np.arange(3).view(Unit), unit="m")
np.random.default_rng(5)
np.random.RandomState(3)
np.poly1d([1, 2])
np.add
np.sum
pd.Series([1, 2], name="a")
pd.Series(["a", None])
pd.Series([1, None], dtype="Int64")
pd.Series([1.5], index=["x"])
pd.DataFrame({"b": [1], "a": ["x"]})
pd.DataFrame({"a": [1, 2]}, index=pd.Index([3, 4], name="i"))
pd.DataFrame()
pd.DataFrame({"a": pd.Categorical(["x", "y"], ordered=True)})
pd.DataFrame([[1, 2]], columns=["a", "a"])
pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", 1)]))
pd.date_range("2024-01-01", periods=3)
pd.RangeIndex(3, name="r")
pd.Index(["a"])
pd.MultiIndex.from_product([[1, 2], ["a"]], names=["x", "y"])
pd.Timestamp("2024-01-01", tz="Europe/Zurich")
pd.Timedelta("1s")
pd.Period("2024-01", "M")
pd.NaT
pd.NA
pd.Interval(1, 2)
pd.interval_range(0, 2)
pd.Categorical(["a", "b"])
pd.array([1, None], dtype="Int8")
pd.array([True, None], dtype="boolean")
pd.Series(["a"], dtype="string")
pd.Series(pd.to_datetime(["2024-01-01"]).tz_localize("UTC"))
with_attribute(pd.DataFrame({"a": [1]}), attrs={"unit": "m"})
pd.CategoricalDtype(["a", "b"])
pa.table({"a": [1, None], "b": ["x", "y"]})
pa.array([1, None])
pa.array([[1], None, []])
pa.chunked_array([[1], [2]])
pa.array([{"a": 1}])
pa.record_batch({"a": [True, None]})
pa.schema([("a", pa.int8())])
pa.int64()
pa.scalar(5)
pl.DataFrame({"a": [1, None]})
pl.Series("s", ["a", None])
pl.DataFrame({"a": [[1], []]})
pl.Series([1.5, None])
pl.Int8
sp.csr_array(np.eye(2))
sp.coo_matrix(np.eye(2))
sp.dok_array((2, 2))
sympy.Symbol("x")
sympy.Symbol("x", positive=True)
sympy.sqrt(2) * sympy.Symbol("y") + 1
sympy.Matrix([[1, 2]])
sympy.Rational(1, 3)
sympy.Poly(sympy.Symbol("x") ** 2, sympy.Symbol("x"))
math_like
int | None
"""


def math_like(x: int) -> int:
    return x + 1


def makes() -> list[str]:
    """Return the expressions."""
    return MAKES.strip().splitlines()


def made(text: str) -> Any:
    """Return the value that an expression makes."""
    return eval(text, globals())
