"""The database in a SQLite file."""

from __future__ import annotations

import time

from offload.errors import UsageError
from offload.storage.database import (
    Database,
    Entry,
    Result,
    Run,
    Transformation,
    check_record,
    judge,
    prefix_range,
)
from offload.storage.sqlitefile import SqliteFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The table `result` is the hot path: small rows, found by their key alone.
_MIGRATIONS = (
    """
    CREATE TABLE result (
        transformation TEXT PRIMARY KEY,
        result TEXT NOT NULL,
        status TEXT NOT NULL,
        recorded REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX result_result ON result (result);
    CREATE TABLE transformation (
        id INTEGER PRIMARY KEY,
        checksum TEXT UNIQUE NOT NULL,
        kind TEXT NOT NULL,
        label TEXT NOT NULL,
        function TEXT,
        first_seen REAL NOT NULL,
        record BLOB NOT NULL
    );
    CREATE INDEX transformation_label ON transformation (label, kind);
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        transformation TEXT NOT NULL,
        result TEXT NOT NULL,
        status TEXT NOT NULL,
        outcome TEXT NOT NULL,
        started REAL NOT NULL,
        seconds REAL NOT NULL,
        forgotten INTEGER NOT NULL DEFAULT 0,
        details BLOB NOT NULL
    );
    CREATE INDEX run_transformation ON run (transformation);
    """,
)
_LOOKUP_ONE = "SELECT result FROM result WHERE transformation = ? AND status = 'complete'"
_LOOKUP = "SELECT transformation, result FROM result WHERE status = 'complete' AND transformation IN ({})"
_RESULTS = "SELECT transformation, result, status, recorded FROM result WHERE transformation IN ({})"
_TRANSFORMATION = "SELECT checksum, kind, label, function, record, first_seen FROM transformation"
_RUNS = (
    "SELECT run.id, run.transformation, kind, label, result, status, outcome, started, seconds, details, forgotten"
    " FROM run JOIN transformation ON transformation.checksum = run.transformation"
)


class SqliteDatabase(Database):
    """The database in one SQLite file, for any number of processes of one machine.

    Parameters
    ----------
    path : str
        The file; made when first used.
    clock : callable
        Gives the Unix time.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        self._file = SqliteFile(path, _MIGRATIONS, "the database", "recorded results are lost, nothing else")
        self._clock = clock

    def lookup(self, transformations: Sequence[str]) -> list[str | None]:
        if len(transformations) == 1:
            rows = self._file.query(_LOOKUP_ONE, (transformations[0],))
            return [rows[0][0] if rows else None]
        found = dict(self._file.query_keys(_LOOKUP, transformations))
        return [found.get(transformation) for transformation in transformations]

    def record(self, entries: Sequence[Entry]) -> list[str]:
        for entry in entries:
            check_record(entry)
        now = self._clock()
        outcomes = []
        rows = {}
        with self._file.writing() as connection:
            keys = [entry.transformation for entry in entries]
            known = {row[0]: (row[1], row[2]) for row in self._file.select_keys(connection, _RESULTS, keys)}
            for entry in entries:
                outcome, kept = judge(known.get(entry.transformation), entry)
                outcomes.append(outcome)
                if kept:
                    known[entry.transformation] = (entry.result, entry.status)
                    rows[entry.transformation] = (entry.transformation, entry.result, entry.status, now)
            connection.executemany(
                "INSERT OR IGNORE INTO transformation (checksum, kind, label, function, first_seen, record)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(e.transformation, e.kind, e.label, e.function, e.started or now, e.record) for e in entries],
            )
            connection.executemany("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?)", rows.values())
            connection.executemany(
                "INSERT INTO run (transformation, result, status, outcome, started, seconds, details)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (e.transformation, e.result, e.status, outcome, e.started, e.seconds, e.details)
                    for e, outcome in zip(entries, outcomes, strict=True)
                ],
            )
        return outcomes

    def transformation(self, checksum: str) -> Transformation | None:
        low, high = prefix_range(checksum)
        rows = self._file.query(_TRANSFORMATION + " WHERE checksum >= ? AND checksum < ? LIMIT 2", (low, high))
        if len(rows) > 1:
            raise UsageError(f"several transformations start with {checksum}", "give more digits")
        return Transformation(*rows[0]) if rows else None

    def results(self, transformations: Sequence[str]) -> list[Result | None]:
        found = {row[0]: Result(*row[1:]) for row in self._file.query_keys(_RESULTS, transformations)}
        return [found.get(transformation) for transformation in transformations]

    def nearest(self, kind: str, label: str, limit: int = 20) -> list[Transformation]:
        rows = self._file.query(
            _TRANSFORMATION + " WHERE kind = ? AND label = ? ORDER BY id DESC LIMIT ?", (kind, label, limit)
        )
        return [Transformation(*row) for row in rows]

    def producers(self, results: Sequence[str]) -> list[list[str]]:
        found: dict[str, list[str]] = {result: [] for result in results}
        statement = "SELECT result, transformation FROM result WHERE result IN ({}) ORDER BY recorded, transformation"
        for result, transformation in self._file.query_keys(statement, list(found)):
            found[result].append(transformation)
        return [found[result] for result in results]

    def runs(
        self,
        kind: str | None = None,
        label: str | None = None,
        text: str | None = None,
        since: float | None = None,
        limit: int = 50,
        transformation: str | None = None,
    ) -> list[Run]:
        conditions: list[str] = []
        values: list[object] = []
        pairs = (
            ("kind = ?", kind),
            ("label = ?", label),
            ("label LIKE ? ESCAPE '!'", None if text is None else f"%{_escaped(text)}%"),
            ("started >= ?", since),
            ("run.transformation = ?", transformation),
        )
        for condition, value in pairs:
            if value is not None:
                conditions.append(condition)
                values.append(value)
        where = " WHERE " + " AND ".join(conditions) if conditions else ""
        rows = self._file.query(f"{_RUNS}{where} ORDER BY run.id DESC LIMIT ?", (*values, limit))
        return [Run(*row) for row in rows]

    def forget(self, transformations: Sequence[str]) -> int:
        keys = [(transformation,) for transformation in transformations]
        with self._file.writing() as connection:
            dropped = connection.executemany("DELETE FROM result WHERE transformation = ?", keys).rowcount
            connection.executemany("UPDATE run SET forgotten = 1 WHERE transformation = ?", keys)
        return int(dropped)

    def find(self, kind: str | None = None, label: str | None = None) -> list[str]:
        conditions = ["checksum IN (SELECT transformation FROM result)"]
        values: list[object] = []
        if kind is not None:
            conditions.append("kind = ?")
            values.append(kind)
        if label is not None and label.endswith("*"):
            conditions.append("substr(label, 1, ?) = ?")
            values += [len(label) - 1, label[:-1]]
        elif label is not None:
            conditions.append("label = ?")
            values.append(label)
        where = " AND ".join(conditions)
        statement = f"SELECT checksum FROM transformation WHERE {where} ORDER BY id DESC"
        return [row[0] for row in self._file.query(statement, values)]

    def statistics(self) -> dict[str, int]:
        counts = {"transformations": 0, "complete": 0, "scratch": 0, "foreign": 0, "runs": 0, "irreproducible": 0}
        counts["transformations"] = self._file.query("SELECT count(*) FROM transformation")[0][0]
        counts.update(self._file.query("SELECT status, count(*) FROM result GROUP BY status"))
        counts["runs"] = self._file.query("SELECT count(*) FROM run")[0][0]
        counts["irreproducible"] = self._file.query("SELECT count(*) FROM run WHERE outcome = 'irreproducible'")[0][0]
        return counts

    def close(self) -> None:
        self._file.close()


def _escaped(text: str) -> str:
    for character in "!%_":
        text = text.replace(character, "!" + character)
    return text
