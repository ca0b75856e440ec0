"""Values of all other types: round trips, equal values with equal bytes, functions and classes, registration."""

from __future__ import annotations

import array
import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import ipaddress
import math
import operator
import pathlib
import re
import threading
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

import offload
from offload.errors import DecodeError, EncodeError
from offload.identity.values import objects
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode, encode_chunks, identify
from offload.identity.values.objects import reduced


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: float
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: float


@attrs.define
class Size:
    width: int
    names: tuple[str, ...] = ()


class Pair(NamedTuple):
    one: int
    two: str


Triple = collections.namedtuple("Triple", "a b c")  # noqa: PYI024  the other kind


class Plain:
    def __init__(self, **state: object) -> None:
        self.__dict__.update(state)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def method(self, x: int = 0) -> int:
        return x


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: int) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and self.a == other.a

    __hash__ = None  # type: ignore[assignment]


class Reduced:
    def __init__(self, a: int) -> None:
        self.a = a

    def __reduce__(self) -> tuple[Any, ...]:
        return Reduced, (self.a,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reduced) and self.a == other.a

    __hash__ = None  # type: ignore[assignment]


class Words(set[str]):
    pass


class Unpicklable:
    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("it holds a connection")


def double(x: int) -> int:
    return 2 * x


def make(k: int) -> Callable[[int], int]:
    def add(x: int) -> int:
        return x + k

    return add


VALUES: list[Any] = [
    dt.datetime(2024, 2, 29, 12, 30, 15, 7),  # noqa: DTZ001
    dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
    dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30), "IST")),
    dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    dt.date(2024, 2, 29),
    dt.time(1, 2, 3),
    dt.timedelta(days=-1, microseconds=5),
    decimal.Decimal("1.10"),
    decimal.Decimal("1.1"),
    decimal.Decimal("-Infinity"),
    fractions.Fraction(22, 7),
    uuid.UUID(int=7),
    pathlib.PurePosixPath("/a/b"),
    pathlib.Path("a") / "c",
    Color.RED,
    Color.BLUE,
    Access.READ,
    Access.READ | Access.WRITE,
    Point(1.0, ["a"]),
    Point(1, ["a"]),
    Point(True, ["a"]),
    Frozen(2.0),
    Size(3, ("a",)),
    Pair(1, "a"),
    (1, "a"),
    Triple(1, 2, 3),
    Plain(a=1, b=[2]),
    Plain(b=[2], a=1),
    Plain(),
    Slotted(1),
    Reduced(1),
    collections.OrderedDict([("b", 1), ("a", 2)]),
    collections.OrderedDict([("a", 2), ("b", 1)]),
    {"a": 2, "b": 1},
    collections.defaultdict(list, a=[1]),
    collections.defaultdict(int, a=[1]),
    collections.Counter("abca"),
    collections.deque([1, 2], maxlen=5),
    collections.deque([1, 2]),
    collections.ChainMap({"a": 1}, {"b": 2}),
    types.SimpleNamespace(a=1),
    types.MappingProxyType({"a": 1}),
    range(3),
    range(0, 3, 2),
    slice(1, 2),
    slice(None),
    3j,
    complex(-0.0, 1),
    NotImplemented,
    re.compile("a+", re.I),
    re.compile(b"a+"),
    array.array("d", [1.0]),
    array.array("f", [1.0]),
    Words({"a", "b"}),
    {"a", "b"},
    ipaddress.IPv4Address("10.0.0.1"),
    operator.itemgetter(1),
    operator.attrgetter("a.b"),
    list[int],
    int | None,
    int,
    type(None),
    Plain,
    Color,
    double,
    len,
    math.sin,
    str.upper,
    "a".upper,
    bytes.fromhex,
    np,
    np.sin,
    np.mean,
    np.linalg.norm,
    scipy.special.erf,
    *[np.float64(1), np.float32(1), np.int64(1), np.bool_(True), np.str_("a"), np.bytes_(b"a"), np.complex64(1j)],
    *[np.datetime64("2024-01-01"), np.datetime64("NaT", "s"), np.timedelta64(5, "s"), np.dtype("f8"), np.dtype(">f8")],
    np.dtype([("a", "i4"), ("b", "f8")]),
]


def name(value: object) -> str:
    shown = repr(sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value)
    return f"{type(value).__name__} {re.sub(' at 0x[0-9a-f]+', '', shown)}"[:60]  # the same in every process


def same(one: Any, other: Any) -> bool:
    if isinstance(one, types.BuiltinFunctionType):
        return bool(one.__name__ == other.__name__ and one.__self__ == other.__self__)
    return bool(one == other) or repr(one) == repr(other)


@pytest.mark.parametrize("value", VALUES, ids=name)
def test_round_trip(value: Any) -> None:
    found = decode(encode(value))
    assert type(found) is type(value)
    assert same(found, value)
    assert encode(found) == encode(value)
    assert encode([value, value]) == encode([value, found])
    assert identify(value) == identify(found)


def test_all_of_these_differ() -> None:
    for way in (encode, identify):
        seen: dict[object, object] = {}
        for value in VALUES:
            other = seen.setdefault(way(value), value)
            assert other is value, (way, value, other)


@pytest.mark.parametrize(
    "error", [ValueError("a", 1), KeyError("k"), OSError(2, "no", "f"), UnicodeDecodeError("a", b"b", 0, 1, "c")]
)
def test_exceptions(error: Exception) -> None:
    error.add_note("by the way")
    found = decode(encode(error))
    assert type(found) is type(error)
    assert found.args == error.args
    assert found.__notes__ == error.__notes__


class Rebuilt(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} {b}")

    def __reduce__(self) -> Any:
        return Rebuilt, self.args


def test_exceptions_are_the_same_whether_dask_is_loaded_or_not() -> None:
    import distributed

    assert distributed.Client is not None
    with pytest.raises(DecodeError, match="cannot be rebuilt: TypeError"):
        decode(encode(Rebuilt(1, 2)))


def test_what_cannot_be_rebuilt_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="cannot be rebuilt: TypeError"):
        decode(encode(Rebuilt(1, 2)))


# Arrays ---------------------------------------------------------------------------------------------------------

BASE = np.arange(24, dtype="i4").reshape(4, 6)
STRUCTURED = np.array([(1, 2.5, "a"), (3, np.nan, "")], dtype=[("n", "i4"), ("x", "f8"), ("s", "U3")])
ARRAYS = [
    BASE,
    BASE.astype("i8"),
    BASE.astype("f4"),
    BASE.astype(">i4"),
    BASE.reshape(6, 4),
    BASE.reshape(24),
    BASE.T,
    BASE[::2, ::-1],
    np.array(5),
    np.array([5]),
    np.array([[5]]),
    np.empty((0, 3)),
    np.empty((3, 0)),
    np.empty(0, "U0"),
    np.empty(2, "S0"),
    np.array([True, False]),
    np.array(["a", "bc"]),
    np.array([b"a", b"bc"]),
    np.array(["2024-01-01", "NaT"], "M8[ns]"),
    np.array(["2024-01-01", "NaT"], "M8[s]"),
    np.array([1, 2], "m8[s]"),
    np.array([1 + 2j]),
    np.array([np.nan, -0.0, np.inf]),
    np.array([np.nan, 0.0, np.inf]),
    STRUCTURED,
    STRUCTURED["n"],
    np.array([((1, 2),)], dtype=[("p", [("a", "i2"), ("b", "i2")])]),
    np.array([([1, 2],)], dtype=[("v", "i4", 2)]),
    np.array([(1, "x")], dtype=[("n", "i4"), ("o", object)]),
    np.array([1, "a", None, [1, 2], (3,)], dtype=object),
    np.array([[1, 2], [3, 4]], dtype=object),
    np.array({"a": 1}, dtype=object),
    np.array(["a", "longer than sixteen bytes"], dtype=np.dtypes.StringDType()),
    np.ma.masked_array([1, 2, 3], [False, True, False]),
    np.ma.masked_array([1.0, 2, 3], [False, False, True]),
    np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
]


@pytest.mark.parametrize("value", ARRAYS, ids=lambda a: f"{type(a).__name__} {a.dtype} {a.shape}")
def test_arrays(value: np.ndarray[Any, Any]) -> None:
    found = decode(encode(value))
    assert type(found) is type(value)
    assert found.dtype == value.dtype
    assert found.shape == value.shape
    assert repr(found.tolist()) == repr(value.tolist())
    assert found.flags.writeable
    assert found.strides == value.strides or not (value.flags.c_contiguous or value.flags.f_contiguous)
    assert encode(found) == encode(decode(encode(found)))
    assert identify(found) == identify(value) == identify(value.copy())


def test_all_arrays_differ() -> None:
    assert len({encode(value) for value in ARRAYS}) == len(ARRAYS)


def test_strides_do_not_count() -> None:
    wide = np.zeros((4, 12), "i4")
    wide[:, ::2] = BASE
    read_only = BASE.copy()
    read_only.flags.writeable = False
    for view in (np.asfortranarray(BASE), wide[:, ::2], BASE[::-1][::-1], read_only, BASE[:, :]):
        assert identify(view) == identify(BASE)


def test_results_lie_in_memory_as_they_did() -> None:
    read_only = BASE.copy()
    read_only.flags.writeable = False
    assert not decode(encode(read_only)).flags.writeable
    cube = np.arange(24).reshape(2, 3, 4)
    for value in (np.asfortranarray(BASE), cube.transpose(1, 0, 2), np.array([[1, "a"], [2, 3]], dtype=object).T, cube):
        for held in (value, [value], Plain(a=value)):
            found = decode(encode(held))
            found = found[0] if held is not value and isinstance(held, list) else getattr(found, "a", found)
            assert found.strides == value.strides
            assert (found == value).all()


def test_large_arrays_are_not_copied() -> None:
    value = np.zeros(1_000_000)
    chunks = encode_chunks(value)
    assert any(isinstance(chunk, memoryview) and np.shares_memory(np.asarray(chunk), value) for chunk in chunks)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | st.integers() | st.text() | st.lists(st.integers(), max_size=2), max_size=20))
def test_object_arrays(items: list[Any]) -> None:
    value = np.empty(len(items), object)
    for index, item in enumerate(items):
        value[index] = item
    found = decode(encode(value))
    assert [(type(a), a) for a in found] == [(type(a), a) for a in items]


# Tables ---------------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame(
    {
        "i": [1, 2, 3],
        "x": [1.5, np.nan, -0.0],
        "s": ["a", None, "c"],
        "o": pd.Series([1, "a", None], dtype=object),
        "c": pd.Categorical(["u", "v", "u"]),
        "t": pd.to_datetime(["2024-01-01", None, "2024-01-03"]).tz_localize("Europe/Berlin"),
        "n": pd.array([1, None, 3], dtype="Int64"),
        "b": pd.array([True, None, False], dtype="boolean"),
        "p": pd.period_range("2024-01", periods=3, freq="M"),
    },
    index=pd.Index(["r", "s", "t"], name="row"),
)
FRAMES = [
    FRAME,
    FRAME[["i", "x"]],
    FRAME[["x", "i"]],
    FRAME.iloc[:2],
    FRAME.iloc[:0],
    FRAME[[]],
    FRAME.reset_index(),
    FRAME.set_index(["i", "s"]),
    FRAME.rename(columns={"i": 0}),
    pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]),
    pd.DataFrame([[1, 2], [3, 4]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", None])),
    pd.DataFrame(),
    pd.DataFrame({"a": [1, 2]}),
    pd.DataFrame({"a": [1.0, 2.0]}),
    pd.DataFrame({"a": [1, 2]}, index=[0, 1]),
    pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024-01-01", periods=2)),
]


@pytest.mark.parametrize("value", FRAMES, ids=range(len(FRAMES)))
def test_frames(value: pd.DataFrame) -> None:
    found = decode(encode(value))
    pd.testing.assert_frame_equal(found, value)
    assert encode(found) == encode(value) == encode(value.copy())


def test_all_frames_differ() -> None:
    assert len({encode(value) for value in FRAMES}) == len(FRAMES)


def test_how_a_frame_was_put_together_does_not_count() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5.0, 6.0]})
    slow = pd.DataFrame({"a": [1, 2]})
    slow["b"], slow["c"] = [3, 4], [5.0, 6.0]
    sliced = pd.DataFrame({"a": [0, 1, 2], "b": [0, 3, 4], "c": [0.0, 5.0, 6.0]}).iloc[1:].reset_index(drop=True)
    used = frame.copy()
    used.index.is_unique, used.index.get_loc(1), used.describe(), used.columns.get_loc("a")
    for same_frame in (slow, sliced, used):
        assert encode(same_frame) == encode(frame)


@pytest.mark.parametrize(
    "values",
    [
        pd.Categorical(["x", "y", "x"]),
        pd.arrays.IntervalArray.from_breaks([1, 2, 3]),
        pd.arrays.SparseArray([0, 0, 1]),
        pd.array([1, None], dtype="Int64"),
        pd.array(["x", None], dtype="string"),
        pd.array([1, None], dtype=pd.ArrowDtype(pa.int64())),
        pd.period_range("2024", periods=2, freq="D").array,
        pd.date_range("2024", periods=2, tz="Asia/Tokyo").array,
    ],
)
def test_what_pandas_notes_of_a_type_while_it_is_used_does_not_count(values: Any) -> None:
    """It is computed from the type, when it is first asked for."""
    table = pd.DataFrame({"a": values})
    before = encode(table)
    for name in dir(type(values.dtype)):
        getattr(values.dtype, name, None)
    hash(values.dtype)
    assert encode(table) == before
    pd.testing.assert_frame_equal(decode(before), table)


def test_attributes_of_frames_count() -> None:
    frame = FRAMES[12].copy()
    frame.attrs["unit"] = "m"
    assert encode(frame) != encode(FRAMES[12])
    assert decode(encode(frame)).attrs == {"unit": "m"}


@pytest.mark.parametrize("column", list(FRAME))
def test_series_and_indexes(column: str) -> None:
    series = FRAME[column]
    pd.testing.assert_series_equal(decode(encode(series)), series)
    assert encode(series) == encode(series.copy())
    assert encode(series) != encode(series.rename("other"))
    index = pd.Index(series.array)
    pd.testing.assert_index_equal(decode(encode(index)), index)
    made = decode(encode(series.array))
    pd.testing.assert_extension_array_equal(made, series.array) if isinstance(
        made, pd.api.extensions.ExtensionArray
    ) else np.testing.assert_array_equal(made, series.array)


TABLE = pa.table({"a": [1, None, 3], "s": ["x", "y", None], "l": [[1], [], None]})


def test_arrow_tables() -> None:
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])
    assert chunked.column(0).num_chunks == 2
    assert encode(chunked) == encode(TABLE)
    assert decode(encode(TABLE)).equals(TABLE)
    assert decode(encode(TABLE)).schema.equals(TABLE.schema)
    assert encode(TABLE.slice(0, 2)) != encode(TABLE)
    assert encode(TABLE.replace_schema_metadata({"k": "v"})) != encode(TABLE)
    assert decode(encode(TABLE.slice(0, 0))).schema.equals(TABLE.schema)
    batch = TABLE.to_batches()[0]
    assert decode(encode(batch)).equals(batch)
    assert decode(encode(batch.slice(0, 0))).schema.equals(batch.schema)
    column = TABLE.column("l")
    assert decode(encode(column)).equals(column)
    assert encode(column) != encode(TABLE.column("a"))


@pytest.mark.parametrize(
    "value", [pa.array([1, None, 3]), pa.array(["a", "bc", None]), pa.array([True, False, None])], ids=str
)
def test_arrow_arrays(value: pa.Array) -> None:
    assert decode(encode(value)).equals(value)
    assert type(decode(encode(value))) is type(value)
    longer = pa.concat_arrays([value, value])
    assert encode(longer.slice(3)) == encode(value)
    assert encode(longer) != encode(value)
    assert decode(encode([value.type, pa.schema({"a": value.type}), value[0]])) == [
        value.type, pa.schema({"a": value.type}), value[0]
    ]  # fmt: skip


def test_polars() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1, None, 3], "s": ["x", "y", None]})
    found = decode(encode(frame))
    assert found.equals(frame)
    assert found.schema == frame.schema
    assert encode(found) == encode(frame) == encode(pl.concat([frame[:1], frame[1:]]))
    assert encode(frame) != encode(frame.rename({"a": "b"}))
    assert decode(encode(frame["a"])).equals(frame["a"])
    assert encode(frame["a"]) != encode(frame["s"])


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_sparse(form: str, kind: str) -> None:
    cls = getattr(scipy.sparse, f"{form}_{kind}")
    dense = np.array([[0, 1.5, 0], [2, 0, 0]])
    value = cls(dense)
    found = decode(encode(value))
    assert type(found) is cls
    assert (found.toarray() == dense).all()
    assert encode(found) == encode(value)
    used = value.copy()
    used.sum(), used @ np.ones(3), used.tocsr(), used.tocsr().has_sorted_indices
    if hasattr(used, "has_canonical_format"):
        used.has_canonical_format  # noqa: B018
    assert encode(used) == encode(value)
    assert encode(cls(dense * 2)) != encode(value)
    assert encode(cls(np.array([[0, 1.5, 0, 0], [2, 0, 0, 0]]))) != encode(value)


def test_estimators() -> None:
    fitted = Ridge(alpha=0.5).fit([[0.0], [1.0]], [0.0, 1.0])
    found = decode(encode(fitted))
    assert found.predict([[2.0]]) == fitted.predict([[2.0]])
    assert encode(found) == encode(fitted)
    assert len({encode(e) for e in (fitted, Ridge(alpha=0.5), Ridge(alpha=0.6))}) == 3


# Functions, classes, methods, modules ---------------------------------------------------------------------------


def test_functions_with_different_closures_differ() -> None:
    values = [
        make(1),
        make(2),
        double,
        lambda x: x,
        lambda x: x + 1,
        functools.partial(double, 1),
        functools.partial(double, 2),
    ]
    assert len({identify(value) for value in values}) == len(values)
    assert identify(make(1)) == identify(make(1))


def test_a_nested_function_as_a_result() -> None:
    assert decode(encode(make(5)))(1) == 6
    assert decode(encode([lambda: 7]))[0]() == 7


def test_an_instance_of_a_nested_class_as_a_result() -> None:
    class Local:
        value = 3

    assert decode(encode(Local())).value == 3
    assert decode(encode(Local)).value == 3


def test_methods() -> None:
    one, two = Plain(a=1), Plain(a=2)
    assert len({identify(v) for v in (one.method, two.method, Plain.method, one)}) == 4
    assert identify(one.method) == identify(Plain(a=1).method)
    assert decode(encode(one.method))(4) == 4


def undecorated(function: Callable[[Any], int]) -> Callable[[Any], int]:
    def inner(self: object) -> int:
        return function(self)

    return inner


class Decorated:
    @undecorated
    def one(self) -> int:
        return 1

    @undecorated
    def two(self) -> int:
        return 2


def test_methods_that_share_a_name_differ() -> None:
    value = Decorated()
    assert identify(value.one) != identify(value.two)


def test_nameless_functions_of_libraries_differ() -> None:
    one, two = np.vectorize(make(1)), np.vectorize(make(2))
    assert identify(one) != identify(two)

    def first(x: object) -> int:
        return 1

    def second(x: object) -> int:
        return 2

    assert identify(functools.singledispatch(first)) != identify(functools.singledispatch(second))


def test_an_edited_class_makes_its_instances_others() -> None:
    before = identify(Plain(a=1))
    Plain.extra = lambda self: 1  # type: ignore[attr-defined]
    try:
        assert identify(Plain(a=1)) != before
    finally:
        del Plain.extra  # type: ignore[attr-defined]
    assert identify(Plain(a=1)) == before


def test_sentinels_are_found_by_name() -> None:
    assert decode(encode(dataclasses.MISSING.__class__)) is dataclasses.MISSING.__class__
    assert decode(encode(NotImplemented)) is NotImplemented


# Shared parts, registration, errors -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [[1], Point(1.0, ["a"]), BASE, FRAME, Plain(a=[1])], ids=lambda v: type(v).__name__)
def test_sharing_does_not_count(value: Any) -> None:
    assert encode([value, value]) == encode([value, copy.deepcopy(value)])
    assert encode((value, [value])) == encode((copy.deepcopy(value), [value]))


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents
        self.lock = threading.Lock()


@pytest.fixture
def _registered() -> Iterator[None]:
    offload.register(Money, encode=lambda money: money.cents, decode=Money, name="money")
    yield
    del objects._BY_TYPE[Money], objects._BY_NAME["money"]


@pytest.mark.usefixtures("_registered")
def test_register() -> None:
    assert decode(encode([Money(5)]))[0].cents == 5
    assert identify(Money(5)) == identify(Money(5)) != identify(Money(6))
    assert encode(Money(5)) != encode(5)
    assert encode(Money(5)) != encode(["money", 5])


def test_what_nobody_registered() -> None:
    offload.register(Money, encode=lambda money: money.cents, decode=Money, name="money")
    data = encode(Money(5))
    del objects._BY_TYPE[Money], objects._BY_NAME["money"]
    with pytest.raises(DecodeError, match="no decoding is registered for money"):
        decode(data)


def generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Unpicklable(), "Unpicklable can be neither encoded nor pickled: it holds a connection"),
        (Money(1), "cannot pickle '_thread.lock' object"),
        (threading.Lock(), "a _thread.lock can be neither encoded nor pickled"),
        (generator(), "a builtins.generator can be neither encoded nor pickled"),
        (memoryview(b"a"), "a builtins.memoryview can be neither"),
    ],
)
def test_what_cannot_be_encoded_is_named(value: object, words: str) -> None:
    for wrapped in (value, [value], {"a": (value,)}, Plain(a=value)):
        with pytest.raises(EncodeError, match=re.escape(words)) as caught:
            encode(wrapped)
        assert "\n" not in caught.value.message
        assert caught.value.hint


def test_members_of_enumerations_are_the_same_in_all_releases_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kind(enum.Enum):
        LAND = "land", 1

    def of_an_older_one(self: enum.Enum, protocol: int) -> object:
        return getattr, (type(self), self.name)

    of_an_older_one.__module__, of_an_older_one.__qualname__ = "enum", "Enum.__reduce_ex__"
    monkeypatch.setattr(enum.Enum, "__reduce_ex__", of_an_older_one)
    monkeypatch.setattr(Kind, "__reduce_ex__", of_an_older_one)
    assert reduced(Kind.LAND)[:2] == (Kind, (("land", 1),))
