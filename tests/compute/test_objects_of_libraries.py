"""Objects of libraries, in globals and as arguments: recalled in each process, and noticed where they are others."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Script
from tests.compute.test_changes import PROGRAM, both

PROGRAMS = {
    "decimal": """
import decimal
context = decimal.Context(prec=5)
@task
def third(x): ran("third"); return str(context.divide(decimal.Decimal(x), 3))
@task
def is_inexact(x): ran("is_inexact"); return context.flags[decimal.Inexact]
print(is_inexact(0), third(3), is_inexact(1), third(1), is_inexact(0), is_inexact(1))
print([signal.__name__ for signal, is_set in context.flags.items() if is_set])
""",
    "mpmath": """
import mpmath
from mpmath import mp, fp, mpf, exp, quad
own = mpmath.ctx_mp.MPContext()
own.dps = 20
@task
def one(x): ran("one"); return str(exp(mpf(x))), str(mp.sqrt(2)), str(own.mpf(1) / 3)
@task
def two(context, x): ran("two"); return str(context.mpf(1) / x)
@task
def gives(x): ran("gives"); return mp, own
print(one(1), two(mp, 3), two(fp, 3), two(own, 3), gives(1)[0] is mp, gives(1)[1].dps)
own.dps = 30
mp.mine = exp
@task
def three(x): ran("three"); return str(mp.mine(x))
print(two(own, 3), one(1), three(2))
mp.mine = mp.sqrt
print(three(2))
""",
    "xarray": """
import xarray
@xarray.register_dataset_accessor("mine")
class Mine:
    def __init__(self, of): self.of = of
    def count(self): return len(self.of)
table = xarray.Dataset({"a": ("x", [1, 2])})
@task
def count(of): ran("count"); return of.mine.count()
@task
def mean(x): ran("mean"); return float(table.a.mean()), dict(table.attrs)
print(mean(1), count(table), mean(2), count(table))
table.attrs["unit"] = "m"
print(mean(1))
""",
    "numba": """
import numba
import numpy as np
RATE = 2.0
@numba.njit
def inner(x): return x * RATE
@numba.njit(fastmath=True)
def middle(x): return inner(x) + 1
@numba.vectorize
def both_ways(x): return x * 2
@numba.guvectorize(["(f8[:], f8[:])"], "(n)->()")
def total(values, out): out[0] = values.sum()
@task
def one(x): ran("one"); return middle(x)
@task
def two(compiled, x): ran("two"); return float(compiled(x))
@task
def three(values): ran("three"); return float(total(values))
print(one(1), one(1.5), two(inner, 1), two(both_ways, 1.0), three(np.ones(3)))
""",
    "numpy": """
import numpy as np
added = np.frompyfunc(lambda a, b: a + b, 2, 1)
@task
def one(of, x): ran("one"); return int(of(1, x))
print(one(added, 1), one(np.frompyfunc(lambda a, b: a - b, 2, 1), 1))
""",
    "json": """
import datetime, json, struct, weakref
@task
def one(of, x): ran("one"); return of(x)
@task
def two(of, x): ran("two"); return of.__get__(x)
print(one(json.JSONDecoder(object_hook=len).decode, "{}"), two(datetime.date.year, datetime.date(2020, 2, 3)))
print(two(datetime.date.month, datetime.date(2020, 2, 3)), one(struct.Struct("<h").unpack, b"12"))
print(one(struct.Struct(">h").unpack, b"12"))
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_they_are_as_without_and_recalled(script: Script, name: str) -> None:
    pytest.importorskip(name)
    once, again, third = both(script, PROGRAM + PROGRAMS[name])
    assert once
    assert again == third == []


def test_a_helper_that_numba_compiles_is_followed(script: Script) -> None:
    pytest.importorskip("numba")
    text = PROGRAM + PROGRAMS["numba"]
    assert both(script, text, 1) == [["one", "one", "two", "two", "three"]]
    assert both(script, text.replace("RATE = 2.0", "RATE = 3.0"), 1) == [["one", "one", "two"]]
