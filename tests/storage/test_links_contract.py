"""Who used and who made a buffer, and the filters of the history: what every database does, whatever it is made of."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from offload.errors import NotWritableError
from offload.identity.checksums import checksum
from offload.identity.values.encode import encode
from offload.storage.database import Database, Entry
from offload.storage.local import lineage_index
from offload.storage.local.database import _MIGRATIONS, SqliteDatabase
from offload.storage.sqlite.file import SqliteFile

A, B, C, D, E = (checksum(name.encode()) for name in "abcde")


def call(number: int, *arguments: str, result: str, files: tuple[str, ...] = (), **more: Any) -> Entry:
    record = encode({"kind": "python", "number": number, "arguments": {f"a{i}": c for i, c in enumerate(arguments)}})
    details = encode({"host": more.pop("host", "here"), "files": [[f"/{c[:3]}", c] for c in files]})
    label = more.pop("label", "module:f")
    return Entry(checksum(record), "python", label, None, record, result, details=details, **more)


def command(number: int, *inputs: str, made: tuple[str, ...], stdin: str | None = None, holds: str = "") -> Entry:
    items = [{"path": c[:3], "checksum": c} for c in inputs]
    record = encode({"kind": "command", "number": number, "inputs": items, "stdin": stdin})
    held = [{"path": "d", "holds": [["x", holds]]}] if holds else []
    details = encode({"host": "there", "inputs": held, "made": [[c[:3], c] for c in made]})
    return Entry(checksum(record), "command", "sort x", None, record, checksum(b"%d" % number), details=details)


def test_who_used_and_made_what(database: Database) -> None:
    one, two = command(1, A, made=(B, C)), command(2, C, made=(D,), stdin=B, holds=E)
    three, four = call(3, D, A, result=E), call(4, E, result=A, files=(D,))
    database.record([one, two, three, four])
    names = {entry.transformation: place for place, entry in enumerate((one, two, three, four), 1)}
    assert [[names[t] for t in found] for found in database.users([A, B, C, D, E, A])] == [
        [3, 1], [2], [2], [4, 3], [4, 2], [3, 1],
    ]  # fmt: skip
    assert [[names[t] for t in found] for found in database.makers([A, B, C, D])] == [[], [1], [1], [2]]
    assert database.users([]) == database.makers([]) == []


def test_what_is_recorded_later_is_found_too(database: Database) -> None:
    first, second = call(1, A, result=B), call(2, A, result=C)
    database.record([first])
    assert database.users([A]) == [[first.transformation]]
    assert database.users([A]) == [[first.transformation]]
    database.record([second, first])
    assert set(database.users([A])[0]) == {first.transformation, second.transformation}


def test_records_that_tell_nothing(database: Database) -> None:
    for data in (b"no encoding", encode([1]), encode({})):
        database.record([Entry(checksum(data), "python", "f", None, data, A, details=data)])
    database.record([Entry(B, "foreign", "f", None, b"", C, "foreign")])
    assert database.users([A, B, C]) == [[], [], []]
    assert len(database.runs()) == 4


def test_more_runs_than_one_transaction_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_index, "BATCH", 7)
    with SqliteDatabase(str(tmp_path / "database")) as database:
        entries = [call(number, A, result=B) for number in range(30)]
        database.record(entries)
        assert database.users([A]) == [[entry.transformation for entry in reversed(entries)]]


def test_more_results_than_one_transaction_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_index, "RESULTS", 7)
    with SqliteDatabase(str(tmp_path / "database")) as database:
        entries = [call(number, A, result=B) for number in range(30)]
        for few in (entries[:10], entries[10:]):
            database.record(few)
            database.producers([B])
        assert database.producers([B]) == [[entry.transformation for entry in entries]]
        database.forget([entry.transformation for entry in entries[1:]])
        assert database.producers([B]) == [[entries[0].transformation]]
        database.record([call(1, A, result=C)])
        database.prune(1e12, lambda checksums: [checksum == C for checksum in checksums])
        assert database.producers([C, B]) == [[entries[1].transformation], []]


def test_what_has_given_a_result_is_known_of_a_file_that_is_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteDatabase(str(tmp_path / "database")) as database:
        database.record([call(1, A, result=B)])
        monkeypatch.setattr(SqliteFile, "writing", _refuses)
        assert database.producers([B, A]) == [[call(1, A, result=B).transformation], []]


def _refuses(_: SqliteFile) -> None:
    raise NotWritableError("it cannot be written")


def test_an_existing_database_of_the_first_schema(tmp_path: Path) -> None:
    """What was recorded before there was an index of links is in it as well."""
    path = str(tmp_path / "database")
    with SqliteDatabase(path) as database:
        database.record([command(1, A, made=(B,)), call(2, B, result=C)])
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "DROP TABLE link; DROP TABLE linked; DROP TABLE given; CREATE INDEX result_result ON result (result);"
            "PRAGMA user_version = 1;"
        )
    connection.close()
    assert len(_MIGRATIONS) == 3
    with SqliteDatabase(path) as database:
        assert len(database.runs()) == 2
        assert database.users([B]) == [[call(2, B, result=C).transformation]]
        assert database.makers([B]) == [[command(1, A, made=(B,)).transformation]]
        assert database.producers([C]) == [[call(2, B, result=C).transformation]]
        database.record([call(3, B, result=C)])
        assert len(database.users([B])[0]) == len(database.producers([C])[0]) == 2


def test_the_filters_of_the_history(database: Database) -> None:
    database.record(
        [
            call(1, A, result=A, label="one:f", started=10.0, host="alpha"),
            call(2, A, result=A, label="one:g", started=20.0, host="beta"),
            call(3, A, result=A, label="[x]?", started=30.0, host="alphabet"),
        ]
    )
    database.record([call(1, A, result=B, label="one:f", started=40.0, host="alpha")])

    def labels(**chosen: Any) -> list[str]:
        return [run.label for run in database.runs(**chosen)]

    assert labels(until=20.0) == ["one:f"]
    assert labels(since=20.0, until=40.0) == ["[x]?", "one:g"]
    assert labels(outcome="irreproducible") == ["one:f"]
    assert labels(host="alpha") == ["one:f", "one:f"]
    assert labels(host="alph") == []
    assert labels(pattern="one:?") == ["one:f", "one:g", "one:f"]
    assert labels(pattern="*g") == ["one:g"]
    assert labels(pattern="[x]*") == ["[x]?"]
    assert labels(pattern="ONE:f") == []
    assert labels(pattern="one:g", host="beta", outcome="recorded", limit=1) == ["one:g"]
    database.forget([call(2, A, result=A).transformation])
    assert labels(outcome="forgotten") == ["one:g"]
    assert labels(outcome="recorded") == ["[x]?", "one:f"]
