"""Jobs on disk: what the next job service goes on with."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterable, Sequence
from typing import Any

from offload.jobs.commands.job import Job
from offload.jobs.commands.protocol import ENDED
from offload.storage.sqlite.file import SqliteFile
from offload.util.resources import parse_resources, resources_text

KEPT = 1000
KEPT_SECONDS = 3600.0
"""Ended jobs are kept for so long, and so many of them for longer."""

_MIGRATIONS = (
    """
    CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        transformation TEXT NOT NULL,
        label TEXT NOT NULL,
        plan BLOB NOT NULL,
        directory BLOB NOT NULL,
        path BLOB NOT NULL,
        submitted REAL NOT NULL,
        state TEXT NOT NULL,
        detached INTEGER NOT NULL,
        clients TEXT NOT NULL,
        started REAL,
        ended REAL,
        attempt INTEGER NOT NULL,
        lost INTEGER NOT NULL,
        worker TEXT NOT NULL,
        cancelled INTEGER NOT NULL,
        outcome BLOB
    );
    CREATE INDEX job_by_state ON job (state, id);
    """,
    "ALTER TABLE job ADD COLUMN resources TEXT NOT NULL DEFAULT ''",
)
_FIXED = ("transformation", "label", "plan", "directory", "path", "submitted", "resources")
_CHANGING = ("state", "detached", "clients", "started", "ended", "attempt", "lost", "worker", "cancelled", "outcome")
_ALL = ", ".join(("id", *_FIXED, *_CHANGING))
_ADD = f"INSERT INTO job ({', '.join((*_FIXED, *_CHANGING))}) VALUES ({', '.join('?' * 17)})"
_SAVE = f"UPDATE job SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE id = ?"


class Ledger:
    """The jobs of one deployment, in one file that only its owner can read.

    Parameters
    ----------
    path : str
        The file.
    kept : int
        So many ended jobs are kept.
    """

    def __init__(self, path: str, kept: int = KEPT) -> None:
        # What SQLite makes beside it gets the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._kept = kept
        self._file = SqliteFile(path, _MIGRATIONS, "the list of jobs", "jobs that have not ended are forgotten")

    def add(self, jobs: Sequence[Job]) -> None:
        """Keep new jobs, and give them their numbers."""
        with self._file.writing() as connection:
            for job in jobs:
                values = (
                    job.transformation, job.label, job.plan, os.fsencode(job.directory), os.fsencode(job.path),
                    job.submitted, resources_text(job.resources), *_changing(job),
                )  # fmt: skip
                job.id = connection.execute(_ADD, values).lastrowid or 0

    def save(self, *jobs: Job) -> None:
        """Keep how jobs are now. The plans of those that have ended are dropped."""
        with self._file.writing() as connection:
            connection.executemany(_SAVE, [(*_changing(job), job.id) for job in jobs])
            ended = [(job.id,) for job in jobs if job.state == ENDED]
            connection.executemany("UPDATE job SET plan = x'' WHERE id = ?", ended)

    def under_way(self) -> list[Job]:
        """Return the jobs that have not ended, oldest first."""
        rows = self._file.query(f"SELECT {_ALL} FROM job WHERE state != ? ORDER BY id", (ENDED,))
        return [_job(row) for row in rows]

    def ended(self) -> list[Job]:
        """Return the ended jobs that are kept, oldest first."""
        return [_job(row) for row in self._file.query(f"SELECT {_ALL} FROM job WHERE state = ? ORDER BY id", (ENDED,))]

    def get(self, numbers: Iterable[int]) -> dict[int, Job]:
        """Return jobs by their numbers; those that are not there, or not any more, are left out."""
        rows = self._file.query_keys(f"SELECT {_ALL} FROM job WHERE id IN ({{}})", list(numbers))  # type: ignore[arg-type]
        return {row[0]: _job(row) for row in rows}

    def sweep(self) -> list[int]:
        """Forget ended jobs beyond those that are kept; return their numbers."""
        oldest = "SELECT id FROM job WHERE state = ? AND ended < ? ORDER BY id DESC LIMIT -1 OFFSET ?"
        with self._file.writing() as connection:
            rows = connection.execute(oldest, (ENDED, time.time() - KEPT_SECONDS, self._kept)).fetchall()
            connection.executemany("DELETE FROM job WHERE id = ?", rows)
        return [row[0] for row in rows]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _changing(job: Job) -> tuple[object, ...]:
    return (
        job.state, job.detached, " ".join(sorted(job.clients)), job.started, job.ended, job.attempt, job.lost,
        job.worker, job.cancelled, None if job.outcome is None else pickle.dumps(job.outcome, protocol=5),
    )  # fmt: skip


def _job(row: Sequence[Any]) -> Job:
    values = dict(zip(("id", *_FIXED, *_CHANGING), row, strict=True))
    for name in ("directory", "path"):
        values[name] = os.fsdecode(values[name])
    for name in ("detached", "cancelled"):
        values[name] = bool(values[name])
    values["resources"] = parse_resources(values["resources"])
    values["clients"] = set(values["clients"].split())
    if values["outcome"] is not None:
        values["outcome"] = pickle.loads(values["outcome"])
    return Job(**values)
