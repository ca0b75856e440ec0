"""Backends to run the contract suites on. A further backend is one more entry in `STORES` or `DATABASES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offload.storage.database import Database
from offload.storage.layered import LayeredDatabase, LayeredStore
from offload.storage.local.database import SqliteDatabase
from offload.storage.local.store import DirectoryStore
from offload.storage.memory import MemoryDatabase, MemoryStore
from offload.storage.retrying import Patience, PatientDatabase, PatientStore
from offload.storage.store import Store
from tests.storage.service.serving import ServedDatabase, ServedStore


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


STORES: dict[str, Callable[[Path, Clock], Store]] = {
    "memory": lambda path, clock: MemoryStore(clock),
    "directory": lambda path, clock: DirectoryStore(str(path / "store"), clock),
    "http": lambda path, clock: ServedStore(path, clock),
    "layered": lambda path, clock: LayeredStore([DirectoryStore(str(path / "store"), clock), MemoryStore(clock)]),
    "patient": lambda path, clock: PatientStore(lambda: MemoryStore(clock), lambda: Patience("the store", print)),
}
DATABASES: dict[str, Callable[[Path, Clock], Database]] = {
    "memory": lambda path, clock: MemoryDatabase(clock),
    "sqlite": lambda path, clock: SqliteDatabase(str(path / "database.sqlite"), clock),
    "http": lambda path, clock: ServedDatabase(path, clock),
    "layered": lambda path, clock: LayeredDatabase([MemoryDatabase(clock), MemoryDatabase(clock)]),
    "patient": lambda path, clock: PatientDatabase(
        lambda: MemoryDatabase(clock), lambda: Patience("the database", print)
    ),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with STORES[request.param](tmp_path, clock) as store:
        yield store


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Database]:
    with DATABASES[request.param](tmp_path, clock) as database:
        yield database
