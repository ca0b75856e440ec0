"""Checks of a batch system, on the machine from which it is used; and of its nodes, by a small job."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from offload.batch import BatchAwayError, BatchSystem, JobRequest, JobState, Phase, RefusedError, batch_system
from offload.batch.options import request_values
from offload.batch.request import walltime_text
from offload.doctor import trial_job
from offload.doctor.result import Result, failed, passed, warned
from offload.doctor.rpc import ask
from offload.errors import OffloadError
from offload.hosts.base import Site

if TYPE_CHECKING:
    from offload.doctor.options import Options

START_SECONDS, MEET_SECONDS, POLL = 300.0, 60.0, 2.0
SEEN_SECONDS = 6.0
"""After so many seconds a network file system shows what another machine has written."""
WALLTIME = 300
MOST_SHOWN = 6
WRITABLE = "set OFFLOAD_HOME to a directory that can be written, and that the nodes see, too"
SHARED = "set OFFLOAD_HOME to a directory that the nodes see, too"


def checks(site: Site, python: str, home: str, asked: Options) -> Iterator[Result]:
    """Check all of it.

    Parameters
    ----------
    site : Site
        The machine.
    python : str
        A Python there; "" for none.
    home : str
        Where offload keeps things there.
    asked : Options
        Which batch system, what jobs will ask for, and whether to send one.
    """
    system = batch_system(asked.system, site)
    try:
        system.mine("offload.")
        yield passed(system.title, f"{system.about()}, which answers")
        request = system.filled(JobRequest("offload.doctor", ("true",), **request_values(asked.job)))
        yield from _queues(system, request)
        said = system.rehearse(system.script(request))
        if said:
            yield passed("request", said)
    except RefusedError as exc:
        yield failed("request", exc.message, exc.hint)
        return
    except OffloadError as exc:
        yield failed(system.title, exc.message, exc.hint)
        return
    if not asked.trial:
        yield warned("nodes", "whether they see the home and reach this machine shows only a job", "add --trial")
    elif not python:
        yield failed("nodes", "no Python is known that a job could run", "give one: --python PATH")
    else:
        yield from _trial(system, python, home, asked, request)


def _queues(system: BatchSystem, request: JobRequest) -> Iterator[Result]:
    queues, wanted = system.queues(), request.queue
    if not queues:
        return
    said = [f"{one.name}{' (default)' if one.is_default else ''}: {one.limits}" for one in queues if one.is_open]
    closed = [one.name for one in queues if not one.is_open]
    text = "; ".join(said[:MOST_SHOWN]) + (f"; and {len(said) - MOST_SHOWN} more" if len(said) > MOST_SHOWN else "")
    text += f"; closed: {', '.join(closed)}" if closed else ""
    names = [one.name for one in queues]
    chosen = next((one for one in queues if one.name == wanted or (wanted is None and one.is_default)), None)
    if chosen is None and wanted is not None:
        yield failed("partitions", f"there is no {wanted}", f"there are: {', '.join(names)}")
    elif chosen is None:
        yield warned("partitions", f"none is the default: {text}", "name one: --partition NAME")
    elif not chosen.is_open:
        others = ", ".join(name for name in names if name not in closed)
        yield failed("partitions", f"{chosen.name} runs no jobs now", f"open are: {others}")
    elif None not in (request.walltime, chosen.longest) and (request.walltime or 0) > (chosen.longest or 0):
        asked = walltime_text(request.walltime or 0)
        yield failed(
            "partitions", f"{chosen.name}: {chosen.limits}; {asked} would wait for ever", "ask for less --walltime"
        )
    else:
        yield passed("partitions", text)


def _trial(system: BatchSystem, python: str, home: str, asked: Options, request: JobRequest) -> Iterator[Result]:
    """Send one small job: where it runs, whether it sees the home, whether it reaches this machine."""
    site = system.site

    def there(request: dict[str, Any], seconds: float = 60.0) -> dict[str, Any]:
        return ask(site, python, request, program_file=trial_job.__file__, seconds=seconds)

    with open(trial_job.__file__, encoding="utf-8") as file:
        made = there({"do": "prepare", "home": home, "program": f"{file.read()}\nmain()\n"})
    if made["error"]:
        yield failed("trial", f"no job is sent: nothing can be written in {home}: {made['error']}", WRITABLE)
        return
    folder = made["folder"]
    job = ""
    try:
        command = (python, os.path.join(folder, "job.py"), folder)
        log = os.path.join(folder, "log")
        sent = dataclasses.replace(request, command=command, log=log, walltime=WALLTIME, nodes=1)
        job = system.submit_once(sent, system.mine(sent.name))
        yield passed("trial", f"job {job} is submitted, and waited for up to {START_SECONDS / 60:g} min")
        state = _started(system, job)
        if state.phase is Phase.PENDING:
            yield warned(
                "trial", f"job {job} did not start: {state.reason or 'no reason is told'}; it is cancelled", _LATER
            )
            return
        host = asked.workers_host or asked.host
        asking = {"do": "meet", "folder": folder, "host": host, "node": state.nodes, "ports": asked.ports}
        with ThreadPoolExecutor(1) as pool:
            meeting = pool.submit(there, {**asking, "seconds": MEET_SECONDS}, 2 * MEET_SECONDS)
            try:
                while not meeting.done():
                    wait([meeting], POLL)
                    if not meeting.done() and system.query([job])[job].is_over:
                        wait([meeting], SEEN_SECONDS)  # what it has written last may be on its way
                        break
            finally:  # after Ctrl-C, too, the job is waited for no more
                if not meeting.done():
                    there({"do": "over", "folder": folder})
            met = meeting.result()
        yield from _judged(system, job, state, met, home)
    except OffloadError as exc:
        yield failed("trial", exc.message, exc.hint)
    finally:
        if job:
            system.cancel([job])
        there({"do": "clear", "folder": folder})


_LATER = "ask for less, or for another partition; offload up waits for its jobs as long as you let it"


def _started(system: BatchSystem, job: str) -> JobState:
    """Return the state of a job that has begun, or has ended, or still waits after a while."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        state = JobState(Phase.PENDING)
        try:
            state = system.query([job])[job]
        except BatchAwayError as exc:
            state = JobState(Phase.PENDING, reason=exc.message)
        if state.phase in (Phase.RUNNING, Phase.ENDED) or time.monotonic() > deadline:
            return state
        time.sleep(POLL)


def _judged(system: BatchSystem, job: str, state: JobState, met: dict[str, Any], home: str) -> Iterator[Result]:
    answer = met["answer"]
    if answer is None:
        said = met["log"].strip().splitlines()
        now = system.query([job])[job]
        how = f"job {job} {now.end or now.word or now.phase} on {state.nodes or 'a node'}"
        if said:
            yield failed("nodes", f"{how}: {said[-1]}", "the same Python has to be at the same path on the nodes")
        else:
            yield failed("nodes", f"{how}, and {home} shows nothing of it: the nodes do not see that directory", SHARED)
        return
    yield passed("nodes", f"job {job} ran on {answer['host']}, sees {home}, and has Python {answer['version']}")
    if answer["reached"]:
        yield passed("way back", f"{answer['host']} reaches this machine at {met['address']}")
    else:
        where = f"{met['address']} from {answer['host']}: {answer['error']}"
        yield failed(
            "way back",
            f"workers would not reach a head here at {where}",
            "name one that the nodes reach: --workers-host ADDRESS; or choose its network: --interface, or --keep",
        )
