"""The index behind lineage, which is brought up to date when it is asked for, and costs nothing until then."""

from __future__ import annotations

from offload.storage.links import links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.storage.sqlitefile import SqliteFile

BATCH = 2000
"""Runs of one transaction: others who want to write do not wait for long."""

_BEHIND = "SELECT 1 FROM run WHERE id > (SELECT run FROM linked) LIMIT 1"
_NEXT = (
    "SELECT id, number, kind, record, details FROM run JOIN transformation USING (number)"
    " WHERE id > (SELECT run FROM linked) ORDER BY id LIMIT ?"
)


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
