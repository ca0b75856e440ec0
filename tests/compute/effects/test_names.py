"""Clocks, random generators and environment variables that the code of a function reaches."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from os.path import isfile
from pathlib import Path
from time import time as now
from typing import Any

import numpy as np
import pytest

import offload
from offload.errors import EffectWarning

pytestmark = pytest.mark.usefixtures("home")


def told(function: Callable[[], Any]) -> list[str]:
    """What a call warns of, and a second one does not."""
    task = offload.task(function)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task()
    again = task()  # a warning would be an error
    assert task.submit().result(60) == again
    return [str(warning.message) for warning in caught if warning.category is EffectWarning]


def by_helper() -> float:
    return stamp()


def stamp() -> float:
    return now() * 0


def by_class() -> int:
    return datetime.now().year * 0  # noqa: DTZ005


def by_import() -> int:
    import datetime as dates

    return dates.date.today().year * 0  # noqa: DTZ011


def by_fields() -> int:
    return time.localtime().tm_year * 0


def by_format() -> str:
    return time.strftime("%Y")[:0]


def drawn() -> float:
    return random.random() * 0


def drawn_by_numpy() -> float:
    return float(np.random.rand() * 0)


def drawn_without_seed() -> float:
    return float(np.random.default_rng().random() * 0)


def named_at_random() -> str:
    import uuid

    return str(uuid.uuid4())[:0]


def reads_environment() -> str:
    import os

    return os.environ.get("OFFLOAD_TEST_A", "") + os.getenv("OFFLOAD_TEST_B", "")


def looks_at_files() -> int:
    return os.path.exists("x") + len(os.fspath("x")) * 0


def looks_by_another_name() -> bool:
    return isfile("x")


def measures_a_file() -> int:
    return os.stat(os.sep).st_size * 0


def here() -> str:
    return os.getcwd()[:0]


def is_numbered() -> int:
    from os import getpid as number

    return number() * 0


def runs_in_a_thread() -> int:
    return threading.get_ident() * 0


def asks_a_path() -> bool:
    return Path("x").exists()


def asks_a_path_that_is_made() -> int:
    file = Path(os.sep) / "x"
    return sum(one.is_file() for one in (file, Path("y"))) + Path(os.sep).joinpath().stat().st_size * 0


def asks_a_known_path() -> bool:
    return KNOWN.is_dir()


def asks_where_it_is() -> str:
    return str(Path.cwd())[:0]


KNOWN = Path("x")


def hashes() -> int:
    return hash("x") * 0


def lies_at() -> int:
    return id("x") * 0


def is_set_to() -> int:
    return (signal.getsignal(signal.SIGUSR1) is None) * 0


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (by_helper, ["time.time tells the time"]),
        (by_class, ["datetime.datetime.now tells the time"]),
        (by_import, ["datetime.date.today tells the time"]),
        (by_fields, ["time.localtime tells the time"]),
        (by_format, ["time.strftime tells the time"]),
        (drawn, ["random.random is random"]),
        (drawn_by_numpy, ["numpy.random.rand is random"]),
        (drawn_without_seed, ["numpy.random.default_rng is random"]),
        (named_at_random, ["uuid.uuid4 is random"]),
        (looks_at_files, ["os.path.exists() asks about a file"]),
        (looks_by_another_name, ["os.path.isfile() asks about a file"]),
        (measures_a_file, ["os.stat() asks about a file"]),
        (here, ["os.getcwd() is another one in each process"]),
        (is_numbered, ["os.getpid() is another one in each process"]),
        (runs_in_a_thread, ["threading.get_ident() is another one in each process"]),
        (asks_a_path, ["pathlib.Path.exists() asks about a file"]),
        (asks_a_path_that_is_made, ["pathlib.Path.stat() asks about", "pathlib.Path.is_file() asks about a file"]),
        (asks_a_known_path, ["pathlib.Path.is_dir() asks about a file"]),
        (asks_where_it_is, ["pathlib.Path.cwd() is another one in each process"]),
        (hashes, ["hash() is another one in each process"]),
        (is_set_to, ["signal.getsignal() is another one in each process"]),
        (lies_at, ["id() is another one in each process"]),
        (reads_environment, ["variable OFFLOAD_TEST_A does", "variable OFFLOAD_TEST_B does"]),
    ],
)
def test_told_once(function: Callable[[], Any], names: list[str]) -> None:
    found = told(function)
    assert len(found) == len(names)
    for text, name in zip(found, names, strict=True):
        assert name in text
        assert text.startswith(f"{__name__}:{function.__name__}: ")


def measures() -> float:
    began = time.perf_counter()
    time.sleep(0)
    return (time.monotonic() - time.process_time() + began) * 0


def tells_a_given_time() -> str:
    return time.strftime("%Y", time.gmtime(0)) + str(datetime.fromtimestamp(0).year * 0)  # noqa: DTZ006


def drawn_with_seed() -> float:
    rng = np.random.default_rng(5)
    return float(rng.random()) + random.Random(5).random() + float(np.random.RandomState(3).rand())


def seeds_first() -> float:
    random.seed(5)
    return random.random()


class Hashed:
    def __hash__(self) -> int:
        return hash(("x", id(Hashed)))


def holds_what_is_hashed() -> int:
    return len({Hashed(): 1})


@pytest.mark.filterwarnings("error")
def test_what_asks_about_its_own_inputs(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("12")
    task = offload.task(lambda file: os.path.getsize(file))
    assert task(offload.File(path)) == task.submit(offload.File(path)).result(60) == 2


def test_what_asks_a_path_that_is_an_argument(tmp_path: Path) -> None:
    task = offload.task(lambda path: path.exists())
    with pytest.warns(EffectWarning, match=r"Path\.exists\(\) asks about a file"):
        assert task(tmp_path)
    assert not task(tmp_path / "x")


class Query:
    """Has a method of the same name as paths have, and is none."""

    def exists(self) -> bool:
        return True


def asks_a_query() -> bool:
    query, exists = Query(), True
    return query.exists() and exists


def only_names_them() -> str:
    return "time.time random.random"


@pytest.mark.parametrize(
    "function",
    [measures, tells_a_given_time, drawn_with_seed, seeds_first, only_names_them, holds_what_is_hashed, asks_a_query],
)
def test_not_told(function: Callable[[], Any]) -> None:
    assert [text for text in told(function) if "it set the state of random" not in text] == []


def test_nothing_is_told_of_what_somebody_vouches_for() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vouched = offload.task(lambda x: (time.time(), x)[1], effects="ignore")
        assert vouched(1) == 1
        assert vouched.submit(2).result(60) == 2

        async def later() -> int:
            return int(time.time()) * 0

        assert asyncio.run(offload.task(later, effects="ignore")()) == 0
    assert [str(one.message) for one in caught] == []


def test_many_in_a_large_library_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"__name__": "large_library", "time": time, "random": random}
    exec(
        "def f(): return g()\ndef g(): return h(), time.time()\n"
        "def h(): return time.localtime(), time.ctime(), random.random(), random.randint(1, 2)\n",
        names,
    )
    with pytest.warns(EffectWarning) as caught:
        offload.task(names["f"])()
    (text,) = [str(w.message) for w in caught]
    assert "reaches 5 clocks" in text
    assert "the nearest by f -> g -> time.time;" in text
