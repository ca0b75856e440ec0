"""A job whose command has been recorded while it waited: it ends with what is recorded."""

from __future__ import annotations

import pickle

from offload.commands.result import chunks, fetch, load, secure
from offload.jobs.commands.job import Job
from offload.jobs.commands.output import Spools
from offload.jobs.commands.protocol import Outcome
from offload.registry.session import Session


def recalled(session: Session, spools: Spools, job: Job) -> Outcome | None:
    """Return what a job ends with, its output put where clients read it; None where it has to run."""
    if pickle.loads(job.plan).request.fresh:
        return None
    data = session.recall([job.transformation])[0]
    record = load([data], session.store)[0]
    if record is None or not fetch([record], session.store)[0] or not secure(record, session.store):
        return None
    spools.remove(job.id)
    for which, part, checksum in ((0, record.stdout_data, record.stdout), (1, record.stderr_data, record.stderr)):
        place = 0
        for chunk in chunks(part, checksum, session.store):
            spools.write(job.id, which, place, chunk)
            place += len(chunk)
    run = next((r for r in session.database.runs(transformation=job.transformation, limit=20) if not r.forgotten), None)
    began, seconds = (run.started, run.seconds) if run is not None else (0.0, 0.0)
    return Outcome(0, began, seconds, data, outcome="same")
