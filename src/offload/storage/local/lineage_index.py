"""The indexes behind lineage, which are brought up to date when they are asked for, and cost nothing until then."""

from __future__ import annotations

from offload.errors import NotWritableError
from offload.storage.lineage import links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.storage.sqlite.file import SqliteFile

BATCH = 2000
"""Runs of one transaction: others who want to write do not wait for long."""

RESULTS = 20_000
"""The same, where nothing of a run is to be read but its result."""

_BEHIND = "SELECT 1 FROM run WHERE id > (SELECT run FROM linked) LIMIT 1"
_NEXT = (
    "SELECT id, number, kind, record, details FROM run JOIN transformation USING (number)"
    " WHERE id > (SELECT run FROM linked) ORDER BY id LIMIT ?"
)
_LACKS_RESULTS = "SELECT 1 FROM run WHERE id > (SELECT given FROM linked) LIMIT 1"
_NEXT_RESULTS = (
    "INSERT OR IGNORE INTO given (result, number) SELECT run.result, number FROM run, linked"
    " WHERE id > given AND id <= given + ? ORDER BY run.result"
)
_HAS_RESULTS = "UPDATE linked SET given = min(given + ?, (SELECT max(id) FROM run))"


def bring_up_to_date(file: SqliteFile) -> None:
    """Take in the runs that were recorded since the last time."""
    while file.query(_BEHIND):
        with file.writing() as connection:
            rows = connection.execute(_NEXT, (BATCH,)).fetchall()
            found = [
                (checksum, role, number)
                for _, number, kind, record, details in rows
                for role, checksum in links(kind, record, details)
            ]
            connection.executemany(
                "INSERT OR IGNORE INTO link (checksum, role, number) VALUES (?, ?, ?)", sorted(found)
            )
            if rows:
                connection.execute("UPDATE linked SET run = ?", (rows[-1][0],))


def bring_results_up_to_date(file: SqliteFile) -> bool:
    """Take in the results of the runs that were recorded since the last time; False for a file that is only read."""
    try:
        while file.query(_LACKS_RESULTS):
            with file.writing() as connection:
                connection.execute(_NEXT_RESULTS, (RESULTS,))
                connection.execute(_HAS_RESULTS, (RESULTS,))
    except NotWritableError:
        return False
    return True


def empty(file: SqliteFile) -> None:
    """Begin anew, after runs have been removed."""
    with file.writing() as connection:
        connection.execute("DELETE FROM link")
        connection.execute("DELETE FROM given")
        connection.execute("UPDATE linked SET run = 0, given = 0")
