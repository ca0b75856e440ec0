"""State that pickling leaves out: it counts, comes back, and travels; what is left out on purpose does not count."""

from __future__ import annotations

import collections
import copyreg
import datetime as dt
import decimal
import fractions
import functools
import ipaddress
import os
import pathlib
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest

from offload.errors import DecodeError, EncodeError
from offload.identity.values import hidden_state
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode, identify
from offload.identity.values.hidden_state import asks
from offload.tasks import whole_pickles
from offload.transport import pickling


class Info(np.ndarray[Any, Any]):
    info: Any

    def __array_finalize__(self, other: Any) -> None:
        self.info = getattr(other, "info", None)


class Stamp(dt.datetime):
    info = None


class Day(dt.date):
    __slots__ = ("info",)


class Failed(Exception):
    __slots__ = ("info",)


class Base:
    """Knows what it pickles, and nothing of what others add to it."""

    def __init__(self, a: object) -> None:
        self.a = a

    def __reduce__(self) -> Any:
        return type(self), (self.a,)


class Derived(Base):
    pass


class SlottedBase:
    __slots__ = ("_hash", "a")

    def __init__(self, a: object) -> None:
        self.a = a
        self._hash = hash(a)

    def __getstate__(self) -> Any:
        return self.a

    def __setstate__(self, state: object) -> None:
        self.a = state


class SlottedDerived(SlottedBase):
    __slots__ = ("info",)


def sub(cls: Any) -> Any:
    made = type(f"Sub{cls.__name__}", (cls,), {"__module__": __name__})
    globals()[made.__name__] = made
    return made


MAKERS: dict[str, Callable[[], Any]] = {
    "ndarray": lambda: np.array([1.0]).view(Info),
    "datetime": lambda: Stamp(2020, 1, 1),
    "slots of a date": lambda: Day(2020, 1, 1),
    "slots of an exception": lambda: Failed("a"),
    "project's": lambda: Derived(1),
    "project's slots": lambda: SlottedDerived(1),
    "date": functools.partial(sub(dt.date), 2020, 1, 1),
    "time": functools.partial(sub(dt.time), 1),
    "timedelta": functools.partial(sub(dt.timedelta), 1),
    "Decimal": functools.partial(sub(decimal.Decimal), "1.10"),
    "Fraction": functools.partial(sub(fractions.Fraction), 1, 2),
    "Path": functools.partial(sub(type(pathlib.Path())), "/a"),
    "Random": functools.partial(sub(random.Random), 1),
    "defaultdict": functools.partial(sub(collections.defaultdict), int, info="one"),
    "Counter": functools.partial(sub(collections.Counter), info=3),
    "OrderedDict": functools.partial(sub(collections.OrderedDict), a=1),
    "deque": functools.partial(sub(collections.deque), [1]),
    "IPv4Address": functools.partial(sub(ipaddress.IPv4Address), "10.0.0.1"),
    "MaskedArray": functools.partial(sub(np.ma.MaskedArray), [1, 2], mask=[False, True]),
    "recarray": lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "matrix": lambda: np.matrix([[1]]),
    "exact MaskedArray": lambda: np.ma.MaskedArray([1, 2], mask=[False, True]),
    "Series": lambda: pd.Series([1, 2]),
    "DataFrame": lambda: pd.DataFrame({"a": [1]}),
    "Index": lambda: pd.Index([1, 2]),
    "DatetimeIndex": lambda: pd.date_range("2020-01-01", periods=3),
    "partial": lambda: functools.partial(int, base=2),
    **{
        c.__name__: functools.partial(sub(c), *args)
        for c, args in ((str, "a"), (int, [1]), (float, [1]), (complex, [1j]), (bytes, [b"a"]), (bytearray, [b"a"]))
    },
    **{c.__name__: functools.partial(sub(c), [1]) for c in (tuple, list, set, frozenset)},
    "dict": functools.partial(sub(dict), a=1),
}


@pytest.mark.filterwarnings("ignore:Pandas doesn't allow columns", "ignore:the matrix subclass")
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("attribute", ["info", "_unit"])
def test_what_a_reducer_does_not_know(name: str, attribute: str) -> None:
    bare, one, two, same = (MAKERS[name]() for _ in range(4))
    if attribute == "_unit" and "slots" in name:
        pytest.skip("there is one slot")
    for value, held in ((one, "one"), (two, 2), (same, "one")):
        setattr(value, attribute, held)
    assert len({identify(value) for value in (bare, one, two)}) == 3
    assert identify(one) == identify(same)
    for found in (
        decode(encode(two)),
        pickle.loads(pickling.dumps(two)),
        pickle.loads(whole_pickles.dumps([two, two])[0])[1],
    ):
        assert type(found) is type(two) or name.startswith("project")  # which goes to workers by value
        assert getattr(found, attribute) == 2
        if "MaskedArray" not in name:  # which gets a fill value when it is pickled
            assert identify(found) == identify(two)


def test_attributes_that_look_like_what_is_told() -> None:
    """What an array is pickled from has a 1, a False and bytes among it: that tells nothing of the attributes."""
    seen = set()
    for info in (None, 1, False, b"b", np.ndarray, (0,)):
        value = np.array([1]).view(Info)
        value.info = info
        seen.add(identify(value))
    assert len(seen) == 6


class Locked:
    """Leaves out a lock, a cache, a handle and a cached hash, by name or by naming what it keeps."""

    def __init__(self, a: object) -> None:
        self.a, self._lock, self.cache, self.handle = a, threading.Lock(), dict[str, int](), open(os.devnull)  # noqa: SIM115
        self._hash = None

    def __getstate__(self) -> Any:
        state = self.__dict__.copy()
        for name in ("_lock", "cache", "handle"):
            state.pop(name, None)
        state.pop("_hash", None)
        return state

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self.handle.close()


class Listing:
    def __init__(self, a: object) -> None:
        self.a, self._cache, self.handles = a, dict[str, int](), [threading.Lock()]

    def __reduce__(self) -> Any:
        return type(self), (self.a,)

    @functools.cached_property
    def area(self) -> int:
        return 1


class SubListing(Listing):
    pass


class Registered:
    def __init__(self, a: object) -> None:
        self.a, self.b = a, 1


def reduce_registered(value: Registered) -> Any:
    state = dict(vars(value))
    del state["b"]
    return Registered, (value.a,), state


def test_what_is_left_out_on_purpose() -> None:
    copyreg.pickle(Registered, reduce_registered)
    try:
        for cls in (Locked, Listing, SubListing, SlottedBase, Registered):
            one, two = cls(1), cls(1)  # type: Any, Any
            before = identify(one)
            if cls in (Listing, SubListing):
                two._cache["used"] = 1
                assert two.area == 1
            for name in ("_hash", "b"):
                if hasattr(two, name):
                    setattr(two, name, 1234)
            if cls is Locked:
                two.cache["used"] = 1
            assert identify(one) == identify(two) == before, cls
            assert identify(decode(encode(two))) == before
            assert identify(cls(2)) != before
    finally:
        del copyreg.dispatch_table[Registered]


def test_memory_maps_count_by_content(tmp_path: pathlib.Path) -> None:
    for name in ("one", "two"):
        np.array([1, 2]).tofile(tmp_path / name)
    one, two = (np.memmap(tmp_path / name, dtype="i8", mode="r+") for name in ("one", "two"))
    assert identify(one) == identify(two)


def test_a_subclass_with_what_cannot_be_encoded_is_refused() -> None:
    value = np.array([1]).view(Info)
    value.info = threading.Lock()
    with pytest.raises(EncodeError, match="lock"):
        identify(value)


def test_exceptions() -> None:
    def failed(cause: Exception | None = None, context: Exception | None = None, **more: Any) -> Exception:
        error = AttributeError("no", **more)
        error.__cause__, error.__context__ = cause, context
        return error

    values = [
        failed(),
        failed(ValueError(1)),
        failed(ValueError(2)),
        failed(None, KeyError(1)),
        failed(name="a"),
        failed(name="no"),
        failed(obj=1),
    ]
    touched = failed()
    assert vars(touched) == {}
    assert identify(touched) == identify(failed())
    noted = failed()
    noted.add_note("by the way")
    values.append(noted)
    assert len({identify(value) for value in values}) == len(values)
    for value in values:
        for found in (decode(encode(value)), pickle.loads(whole_pickles.dumps(value)[0])):
            assert identify(found) == identify(value)
    assert decode(encode(values[2])).__cause__.args == (2,)
    plain = {identify(one) for one in (ValueError(1), StopIteration(5), OSError(2, "no"), SystemExit(3))}
    assert len(plain) == 4
    assert asks(ValueError) is not None


class Interned:
    """Gives the same instance to all who ask for the same name."""

    _all: dict[str, Any] = {}
    extra: object

    def __new__(cls, name: str) -> Self:
        if name not in cls._all:
            cls._all[name] = object.__new__(cls)
            cls._all[name].name = name
        found: Self = cls._all[name]
        return found

    def __reduce__(self) -> Any:
        return type(self), (self.name,)  # type: ignore[attr-defined]


class Extended(Interned):
    pass


def test_an_instance_that_others_have_is_not_changed() -> None:
    shared = Extended("a")
    assert decode(encode(shared)) is shared
    other: Any = object.__new__(Extended)
    other.name, other.extra = "a", 1
    data = encode(other)
    with pytest.raises(DecodeError, match="loses what its class leaves out"):
        decode(data)
    with pytest.raises(EncodeError, match="loses what its class leaves out"):
        pickling.packed((other,), {})
    assert not hasattr(shared, "extra")
    shared.extra = 1
    assert decode(data) is shared
    del shared.extra


def function(x: int) -> int:
    return x


def test_attributes_of_functions_that_are_arguments() -> None:
    def make(**attributes: object) -> Any:
        def inner(x: int) -> int:
            return x

        vars(inner).update(attributes)
        return inner

    kinds = [make(), make(tag=1), make(tag="1"), make(unit=1), make(helper=function), make(helper=make())]
    assert len({identify(one) for one in kinds}) == len(kinds)
    assert identify(make(tag=1)) == identify(make(tag=1)) == identify(make(tag=1, __wrapped__=function))
    own = make()
    own.me = own
    assert identify(own) != identify(make())
    assert identify([make(tag=1)]) != identify([make(tag=2)])
    assert decode(encode(make(tag=5))).tag == 5


def test_switches_of_tables_and_masks() -> None:
    frame = pd.DataFrame({"a": [1]})
    strict = frame.set_flags(allows_duplicate_labels=False)
    hard, soft = (np.ma.array([1, 2], mask=[False, True], hard_mask=hard) for hard in (True, False))
    for one, other in ((frame, strict), (frame["a"], strict["a"]), (soft, hard)):
        assert identify(one) != identify(other)
    assert not decode(encode(strict)).flags.allows_duplicate_labels
    assert not decode(encode(strict["a"])).flags.allows_duplicate_labels
    assert decode(encode(frame)).flags.allows_duplicate_labels
    assert decode(encode(hard)).hardmask
    assert decode(encode(np.ma.array([1]))).mask is np.ma.nomask
    subclass = MAKERS["MaskedArray"]()
    before = identify(subclass)
    subclass.harden_mask()
    assert identify(subclass) != before
    assert decode(encode(subclass)).hardmask


def test_properties_of_molecules() -> None:
    chem = pytest.importorskip("rdkit.Chem")
    molecules = [chem.MolFromSmiles("CCO") for _ in range(4)]
    molecules[1].SetProp("_Name", "ethanol")
    molecules[2].GetAtomWithIdx(0).SetProp("kind", "a")
    molecules[3].tag = 1
    assert len({identify(one) for one in molecules}) == 4
    assert decode(encode(molecules[1])).GetProp("_Name") == "ethanol"
    before = identify(molecules[0])
    chem.MolToSmiles(molecules[0]), molecules[0].GetRingInfo().NumRings()
    assert identify(molecules[0]) == before == identify(decode(encode(molecules[0])))


@pytest.mark.filterwarnings("ignore")
def test_domains_of_polynomials() -> None:
    sympy = pytest.importorskip("sympy")
    x = sympy.symbols("x")
    polynomials = [
        sympy.Poly(x**2 - 2, x, **more) for more in ({}, {"modulus": 5}, {"extension": sympy.sqrt(2)}, {"domain": "QQ"})
    ]
    wild = [sympy.Wild("a"), sympy.Wild("a", exclude=[x])]
    assert len({identify(one) for one in (*polynomials, *wild)}) == 6
    for one in polynomials:
        assert decode(encode(one)).factor_list() == one.factor_list()
    assert decode(encode(x + 1)) == x + 1


class Dispatching:
    """As SQLAlchemy's: listeners in slots that only a subclass has, and that cannot be pickled."""

    __slots__ = ("kind",)

    def __init__(self) -> None:
        self.kind = "table"

    def __reduce__(self) -> Any:
        return type(self), ()


class Listening(Dispatching):
    __slots__ = ("listener", "unit")


def test_slots_that_cannot_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are refused in a class of the project, and passed over in a library's, as attributes are."""
    value: Any = Listening()
    value.listener, value.unit = (one for one in "ab"), "m"
    with pytest.raises(EncodeError, match="generator"):
        encode(value)
    monkeypatch.setattr(hidden_state, "_known", {})
    monkeypatch.setattr(hidden_state, "origin", lambda name: "library==1")
    parts = (*value.__reduce_ex__(4), None)
    assert hidden_state.left_out(value, parts) == ({}, {"unit": "m"})
