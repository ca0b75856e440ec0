"""The database in a SQLite file."""

from __future__ import annotations

import time

from offload.storage.database import Database, Entry, Result, Run, Transformation, check_record, judge
from offload.storage.sqlite.file import SqliteFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from offload.storage.local.pruning import Kept
    from offload.storage.records import Pruned

# Checksums come in random order, so each index on them costs a page per new row. Only two are: `result`, the hot path,
# has one small row for every transformation ever run; all else hangs on its `number`, which grows.
_MIGRATIONS = (
    """
    CREATE TABLE result (
        transformation TEXT PRIMARY KEY,
        result TEXT,  -- none when it was forgotten
        status TEXT NOT NULL,
        recorded REAL NOT NULL,
        number INTEGER NOT NULL,
        forgotten INTEGER NOT NULL DEFAULT 0  -- the last run that was forgotten
    ) WITHOUT ROWID;
    CREATE INDEX result_result ON result (result);
    CREATE TABLE transformation (
        number INTEGER PRIMARY KEY,
        checksum TEXT NOT NULL,
        kind TEXT NOT NULL,
        label TEXT NOT NULL,
        function TEXT,
        first_seen REAL NOT NULL,
        record BLOB NOT NULL
    );
    CREATE INDEX transformation_label ON transformation (label, kind);
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        number INTEGER NOT NULL REFERENCES transformation,
        result TEXT NOT NULL,
        status TEXT NOT NULL,
        outcome TEXT NOT NULL,
        started REAL NOT NULL,
        seconds REAL NOT NULL,
        details BLOB NOT NULL
    );
    CREATE INDEX run_number ON run (number);
    CREATE INDEX run_irreproducible ON run (id) WHERE outcome = 'irreproducible';
    """,
    # Two more indexes of random checksums would slow down every run: this one is filled when lineage is asked for.
    """
    CREATE TABLE link (
        checksum TEXT NOT NULL,
        role TEXT NOT NULL,
        number INTEGER NOT NULL REFERENCES transformation,
        PRIMARY KEY (checksum, role, number)
    ) WITHOUT ROWID;
    CREATE TABLE linked (run INTEGER NOT NULL);  -- the last one that is in `link`
    INSERT INTO linked VALUES (0);
    """,
    # The index of results took more than all else of a run, and more with each; this one is filled when it is asked.
    """
    DROP INDEX result_result;
    CREATE TABLE given (
        result TEXT NOT NULL,
        number INTEGER NOT NULL REFERENCES transformation,
        PRIMARY KEY (result, number)
    ) WITHOUT ROWID;
    ALTER TABLE linked ADD COLUMN given INTEGER NOT NULL DEFAULT 0;  -- the last run that is in `given`
    """,
)
_COMMON = 1000  # transformations that make a label a common one
_LOOKUP_ONE = "SELECT result FROM result WHERE transformation = ? AND status = 'complete'"
_LOOKUP = "SELECT transformation, result FROM result WHERE status = 'complete' AND transformation IN ({})"
_KNOWN = "SELECT transformation, result, status, number FROM result WHERE transformation IN ({})"
_RESULTS = (
    "SELECT transformation, result, status, recorded FROM result WHERE result IS NOT NULL AND transformation IN ({})"
)
_TRANSFORMATION = "SELECT checksum, kind, label, function, record, first_seen FROM transformation"
_DESCRIBE = (
    "INSERT INTO transformation (number, checksum, kind, label, function, first_seen, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_KEEP = (
    "INSERT INTO result (transformation, result, status, recorded, number) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (transformation)"
    " DO UPDATE SET result = excluded.result, status = excluded.status, recorded = excluded.recorded"
)
_LOG = "INSERT INTO run (number, result, status, outcome, started, seconds, details) VALUES (?, ?, ?, ?, ?, ?, ?)"
_FORGET = (
    "UPDATE result SET result = NULL, status = 'forgotten', forgotten = (SELECT max(id) FROM run)"
    " WHERE transformation = ? AND result IS NOT NULL"
)
_PRODUCERS = (
    "SELECT result.result, transformation FROM given JOIN transformation USING (number)"
    " JOIN result ON transformation = checksum AND result.result = given.result"
    " WHERE given.result IN ({}) ORDER BY recorded, result.number"
)
_PRODUCERS_UNINDEXED = "SELECT result, transformation FROM result WHERE result IN ({}) ORDER BY recorded, number"
_LINKED = (
    "SELECT link.checksum, transformation.checksum FROM link JOIN transformation USING (number)"
    " WHERE role = {} AND link.checksum IN ({}) ORDER BY number DESC"
)
_SECONDS = "SELECT result, max(seconds) FROM run GROUP BY result"
_COMMANDS = (
    "SELECT seconds, details FROM run JOIN transformation USING (number)"
    " WHERE kind = 'command' AND outcome IN ('recorded', 'replaced')"
)
_RUNS = (
    "SELECT run.id, checksum, kind, label, run.result, run.status, outcome, started, seconds, details,"
    " run.id <= forgotten FROM run JOIN transformation USING (number)"
    " JOIN result ON result.transformation = checksum"
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
        outcomes, descriptions, results, runs = [], [], {}, []
        with self._file.writing() as connection:
            rows = self._file.select_keys(connection, _KNOWN, [entry.transformation for entry in entries])
            known = {row[0]: row[1:] for row in rows}
            following = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM transformation").fetchone()[0]
            for e in entries:
                result, status, number = known.get(e.transformation, (None, "", following))
                if number == following:
                    following += 1
                    descriptions.append(
                        (number, e.transformation, e.kind, e.label, e.function, e.started or now, e.record)
                    )
                outcome, kept = judge(None if result is None else (result, status), e)
                if kept:
                    results[e.transformation] = (e.transformation, e.result, e.status, now, number)
                    known[e.transformation] = (e.result, e.status, number)
                outcomes.append(outcome)
                runs.append((number, e.result, e.status, outcome, e.started, e.seconds, e.details))
            connection.executemany(_DESCRIBE, descriptions)
            connection.executemany(_KEEP, results.values())
            connection.executemany(_LOG, runs)
        return outcomes

    def transformation(self, checksum: str) -> Transformation | None:
        from offload.storage.prefixes import only, prefix_range

        statement = "SELECT transformation FROM result WHERE transformation >= ? AND transformation < ? LIMIT 2"
        found = only([row[0] for row in self._file.query(statement, prefix_range(checksum))], checksum)
        if found is None:
            return None
        statement = _TRANSFORMATION + " WHERE number = (SELECT number FROM result WHERE transformation = ?)"
        return Transformation(*self._file.query(statement, (found,))[0])

    def results(self, transformations: Sequence[str]) -> list[Result | None]:
        found = {row[0]: Result(*row[1:]) for row in self._file.query_keys(_RESULTS, transformations)}
        return [found.get(transformation) for transformation in transformations]

    def nearest(self, kind: str, label: str, limit: int = 20) -> list[Transformation]:
        statement = _TRANSFORMATION + " WHERE kind = ? AND label = ? ORDER BY number DESC LIMIT ?"
        return [Transformation(*row) for row in self._file.query(statement, (kind, label, limit))]

    def producers(self, results: Sequence[str]) -> list[list[str]]:
        from offload.storage.local.lineage_index import bring_results_up_to_date

        found: dict[str, list[str]] = {result: [] for result in results}
        statement = _PRODUCERS if bring_results_up_to_date(self._file) else _PRODUCERS_UNINDEXED
        for result, transformation in self._file.query_keys(statement, list(found)):
            found[result].append(transformation)
        return [found[result] for result in results]

    def makers(self, checksums: Sequence[str]) -> list[list[str]]:
        from offload.storage.lineage import MADE

        return self._linked(MADE, checksums)

    def users(self, checksums: Sequence[str]) -> list[list[str]]:
        from offload.storage.lineage import USED

        return self._linked(USED, checksums)

    def _linked(self, role: str, checksums: Sequence[str]) -> list[list[str]]:
        from offload.storage.local.lineage_index import bring_up_to_date

        bring_up_to_date(self._file)
        found: dict[str, list[str]] = {checksum: [] for checksum in checksums}
        for checksum, transformation in self._file.query_keys(_LINKED.format(repr(role), "{}"), list(found)):
            found[checksum].append(transformation)
        return [found[checksum] for checksum in checksums]

    def runs(
        self,
        kind: str | None = None,
        label: str | None = None,
        text: str | None = None,
        since: float | None = None,
        limit: int = 50,
        transformation: str | None = None,
        until: float | None = None,
        outcome: str | None = None,
        host: str | None = None,
        pattern: str | None = None,
    ) -> list[Run]:
        conditions, values = _chosen(kind, label, text)
        if label is not None and self._common(_valid(label)):
            # From the newest run back, such a label is found soon; its index would give all its runs to be sorted.
            conditions = [condition.replace("label = ", "+label = ") for condition in conditions]
        if since is not None:
            conditions.append("started >= ?")
            values.append(since)
        if transformation is not None:
            conditions.append("run.number = (SELECT number FROM result WHERE transformation = ?)")
            values.append(transformation)
        if until is not None:
            conditions.append("started < ?")
            values.append(until)
        if outcome is not None:
            conditions.append("run.id <= forgotten" if outcome == "forgotten" else "outcome = ? AND run.id > forgotten")
            values += [] if outcome == "forgotten" else [_valid(outcome)]
        if host is not None:
            from offload.storage.lineage import host_mark

            conditions.append("instr(details, ?) > 0")
            values.append(host_mark(_valid(host)))
        if pattern is not None:
            conditions.append("label GLOB ?")
            values.append(_valid(pattern).replace("[", "[[]"))
        where = " WHERE " + " AND ".join(conditions) if conditions else ""
        rows = self._file.query(f"{_RUNS}{where} ORDER BY run.id DESC LIMIT ?", (*values, limit))
        return [Run(*row) for row in rows]

    def _common(self, label: str) -> bool:
        statement = "SELECT 1 FROM transformation WHERE label = ? LIMIT ?"
        return len(self._file.query(statement, (label, _COMMON))) == _COMMON

    def forget(self, transformations: Sequence[str]) -> int:
        with self._file.writing() as connection:
            keys = ((transformation,) for transformation in transformations)
            return int(connection.executemany(_FORGET, keys).rowcount)

    def find(self, kind: str | None = None, label: str | None = None, text: str | None = None) -> list[str]:
        conditions, values = _chosen(kind, label, text)
        where = " AND ".join(["status != 'forgotten'", *conditions])
        rows = self._file.query(
            "SELECT checksum FROM transformation JOIN result ON result.transformation = checksum"
            f" WHERE {where} ORDER BY transformation.number DESC",
            values,
        )
        return [row[0] for row in rows]

    def costs(self) -> Mapping[str, float]:
        from offload.storage.lineage import made

        found = dict(self._file.query(_SECONDS))
        for seconds, details in self._file.query(_COMMANDS):
            for checksum in made(details):
                found[checksum] = max(seconds, found.get(checksum, 0.0))
        return found

    def prune(self, before: float, kept: Kept, dry_run: bool = False) -> Pruned:
        from offload.storage.local.pruning import prune

        return prune(self._file, before, kept, dry_run)

    def statistics(self) -> dict[str, int]:
        counts = dict.fromkeys(("transformations", "complete", "scratch", "foreign", "runs", "irreproducible"), 0)
        counts["transformations"] = self._file.query("SELECT count(*) FROM transformation")[0][0]
        counts.update(
            self._file.query("SELECT status, count(*) FROM result WHERE status != 'forgotten' GROUP BY status")
        )
        counts["runs"] = self._file.query("SELECT count(*) FROM run")[0][0]
        counts["irreproducible"] = self._file.query("SELECT count(*) FROM run WHERE outcome = 'irreproducible'")[0][0]
        return counts

    def close(self) -> None:
        self._file.close()


def _chosen(kind: str | None, label: str | None, text: str | None) -> tuple[list[str], list[object]]:
    """Give the conditions, and their values, that choose by what `Database.runs` explains."""
    conditions: list[str] = []
    values: list[object] = []
    if kind is not None:
        conditions.append("kind = ?")
        values.append(kind)
    if label is not None and label.endswith("*"):
        conditions.append("substr(label, 1, ?) = ?")
        start = _valid(label[:-1])
        values += [len(start), start]
    elif label is not None:
        conditions.append("label = ?")
        values.append(_valid(label))
    if text is not None:
        for character in "!%_":
            text = text.replace(character, "!" + character)
        conditions.append("label LIKE ? ESCAPE '!'")
        values.append(_valid(f"%{text}%"))
    return conditions, values


def _valid(words: str) -> str:
    """Make text of what was typed, which may be any bytes; labels are text."""
    return words.encode("utf-8", "backslashreplace").decode()
