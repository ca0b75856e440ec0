"""Bringing deployments of this machine up and down, and telling how they are."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from offload.commands.running.stale_scratch import sweep
from offload.deploy import envfile
from offload.deploy.config.spec import PROCESS, Spec, spec_of
from offload.deploy.endpoints import is_free, located
from offload.deploy.existing import examine
from offload.deploy.head_client import HeadGoneError, ask
from offload.deploy.lifecycle import container
from offload.deploy.lifecycle.common import (
    DOWN_SECONDS,
    INTERVAL,
    ROOM,
    UP_SECONDS,
    Say,
    end_all,
    end_elsewhere,
    has_head_job,
    known,
    link_of,
    prepare,
    single,
)
from offload.deploy.manual_parts import parts
from offload.engines.dask_settings import loaded
from offload.errors import DamagedError, DiskFullError, NotWritableError, OffloadError, RefusedError
from offload.http.certificate_times import ClockError
from offload.registry.connect import elsewhere
from offload.registry.contact import AWAY, DOWN, ELSEWHERE, REFUSED, Contact
from offload.registry.deployments import Place, Registry
from offload.storage.home import DEPLOYMENT, Home
from offload.util.filesystems import check_room, translated
from offload.util.liveness import started
from offload.util.processes import last_words, python, start_detached

STATUS_SECONDS = 20.0
LOG_ROOM = 100_000
DISCONNECTED = "disconnected"

Start = Callable[[list[str], str], int]


def state(place: Place) -> str:
    """Return how a deployment is: ``"running"``, ``"starting"``, ``"stopping"``, ``"dead"`` or ``"down"``.

    One that has ended by itself is ``"ended: "`` and why.
    ``"dead"`` means that its head ended without being told to; `up` starts it again. One on another machine may also be
    ``"away"``, while the connection is being made again, or ``"disconnected"``, when nobody tries to; `up` does. One in
    another container of this machine that is not reached from here is ``"elsewhere"``.
    """
    contact = known(place)
    if contact is None:
        if os.path.exists(place.contact):
            return "dead"
        if has_head_job(place):
            from offload.deploy.lifecycle import batch_job

            return batch_job.described(place)
        reason = place.end_reason()
        return f"ended: {reason}" if reason else "down"
    if contact.state == DOWN:
        return DOWN
    if contact.head_lives():
        return ELSEWHERE if contact.is_elsewhere() else contact.state
    if has_head_job(place):
        from offload.deploy.lifecycle import batch_job

        return batch_job.described(place)
    return "dead" if link_of(place) is None else DISCONNECTED


def up(
    registry: Registry, spec: Spec, say: Say, start: Start = start_detached, again: bool = False
) -> tuple[Contact, bool]:
    """Bring a deployment up, unless it is.

    Parameters
    ----------
    registry : Registry
        Where it is made known.
    spec : Spec
        What it is to be. One that is up already stays as it is.
    say : callable
        Is told each step as it happens.
    start : callable
        Starts the head by its command and log, and returns its process id.
    again : bool
        Whether it is to be there already: one that somebody brings down meanwhile stays down.

    Returns
    -------
    (Contact, bool)
        Where it is, and whether it had to be started.

    Raises
    ------
    OffloadError
        If it does not come up in time; the message ends with the last lines of the log that explains it.
    """
    place = registry.place(spec.name)
    if spec.link is not None:
        from offload.deploy.remote import up as remote

        return remote.up(registry, spec, say, again)
    if not spec.storage_only and spec.environment is None and state(place) != "running":
        loaded()  # what is wrong with Dask's configuration is to be known before anything is started
    if spec.keep != PROCESS:
        from offload.deploy.lifecycle import batch_job

        return batch_job.up(registry, place, spec, say, again)
    home = spec.home(registry.home)
    with single(place, say, again):
        contact = known(place)
        if contact is not None and contact.head_lives():
            if contact.is_elsewhere():
                raise elsewhere(place)
            if contact.state == "running":
                return contact, False
            if contact.state == "starting":  # whoever began it has gone
                return _wait_for(place, contact.head["pid"], say), False
        new = not os.path.exists(place.spec)
        try:
            check_room(registry.home, ROOM)
            _check_storage(home)
            _check_scratch(spec)
            is_free(located(spec).host, 0)  # tells when the host is no address of this machine
            return _begin(registry, place, spec, say, start), True
        except BaseException as exc:  # also Ctrl-C: what was begun does not stay half-way
            end_all(place)
            if new and os.path.isdir(place.path):
                _take_back(registry, place, exc)
            raise


def _take_back(registry: Registry, place: Place, error: BaseException) -> None:
    """Let there be no deployment that has never been up; its log stays where the error names it."""
    if isinstance(error, KeyboardInterrupt | DiskFullError) or not os.path.exists(place.log("head")):
        registry.remove(place.name)
    else:
        registry.withdraw(place.name)


def _begin(registry: Registry, place: Place, spec: Spec, say: Say, start: Start) -> Contact:
    now = state(place)
    if now in ("dead", "stopping"):
        say("its head has died; starting it again" if now == "dead" else "waiting for it to end first")
        end_elsewhere(place)
        end_all(place, DOWN_SECONDS)
    say("making certificates")
    try:
        prepare(registry, spec)
        if spec.scheduler is not None:
            examine(place, spec, say)
        command = python("offload.deploy.head", place.path)
        if spec.environment is not None:
            command = [container.python(place, spec, say), *command[1:]]
        say("starting the head")
        pid = start(command, place.log("head"))
    except OSError as exc:
        raise translated(exc, place.path) from exc
    return _wait_for(place, pid, say, spec.environment is None)


def _check_storage(home: Home) -> None:
    """Open the store and the database: what is wrong with them is to be known before anything is started."""
    from offload.registry.session import Session

    session = Session(home)
    try:
        session.store.has([])
        session.database.lookup([])
        for path in (home.store, os.path.dirname(home.database)):
            if not path.startswith(DEPLOYMENT) and os.path.isdir(path):
                check_room(path, ROOM)
    finally:
        session.close()


def _check_scratch(spec: Spec) -> None:
    """Make the directory for temporary files: workers that cannot use it would only say so in their logs."""
    if spec.scratch is None:
        return
    try:
        os.makedirs(spec.scratch, exist_ok=True)
        with tempfile.TemporaryFile(dir=spec.scratch):
            pass
    except OSError as exc:
        raise NotWritableError(
            f"temporary files cannot be kept in {spec.scratch}: {exc.strerror}", "give another --scratch"
        ) from exc


def _wait_for(place: Place, pid: int, say: Say, is_head: bool = True) -> Contact:
    """Wait until the head is up that a process is, or, within a container, has started."""
    deadline = time.monotonic() + UP_SECONDS
    told: set[str] = set()
    while time.monotonic() < deadline:
        contact = known(place)
        if contact is not None and (contact.head["pid"] == pid or not is_head):
            for what, address in (("storage", contact.storage), ("scheduler", contact.scheduler)):
                if address and what not in told:
                    told.add(what)
                    say(f"the {what} is at {address}")
            if contact.state == "running":
                return contact
        if started(pid) is None and not (contact is not None and contact.head["pid"] == pid and contact.head_lives()):
            check_room(place.path, LOG_ROOM)  # without it, it could not say so
            reason = last_words(place.log("head")) or "it said nothing"
            raise OffloadError(f"the head of {place.name} ended at once: {reason}", f"its log: {place.log('head')}")
        time.sleep(INTERVAL)
    check_room(place.path, LOG_ROOM)
    said = filter(None, (last_words(place.log(who)) for who in ("scheduler", "jobs", "storage")))
    raise OffloadError(
        f"{place.name} was not up after {UP_SECONDS:.0f} s: {next(said, 'nothing was said')}",
        f"its logs: {place.logs}",
    )


def down(registry: Registry, place: Place, say: Say) -> None:
    """Bring a deployment down: nothing of it runs afterwards, and its files are gone.

    Raises
    ------
    OffloadError
        If a process of it cannot be ended.
    """
    with single(place, say):
        if not os.path.exists(place.path):  # somebody else was quicker
            return
        link = link_of(place)
        if link is not None:
            from offload.deploy.remote import up as remote

            remote.down(registry, place, link, say)
            return
        if known(place) is not None or parts(place):
            say("waiting for its processes to end")
        end_elsewhere(place)
        _end_jobs(place, say)
        end_all(place, DOWN_SECONDS, say, parts(place))
        envfile.end(place)
        _end_jobs(place, say)
        with container.ended(place):
            registry.remove(place.name)
        sweep(tempfile.gettempdir())


def _end_jobs(place: Place, say: Say) -> None:
    """See to it that no job of a batch system is left; those of a head that lives, it ends itself."""
    try:
        spec = spec_of(place)
    except (DamagedError, FileNotFoundError):
        return
    if not spec.systems() and spec.keep == PROCESS:
        return
    from offload.deploy.lifecycle import batch_job

    batch_job.end(place, spec, known(place), say)


def status(place: Place) -> dict[str, Any]:
    """Return what the head says of its deployment, or what can be said without one."""
    contact = known(place)
    if contact is not None and contact.state in (DOWN, "dead"):  # on another machine: who kept the connection knows
        return {
            "name": place.name, "state": contact.state, "reason": contact.reason, "services": [], "workers": [],
        }  # fmt: skip
    if contact is None or not contact.head_lives():
        return {"name": place.name, "state": state(place), "services": [], "workers": []}
    if not contact.has_head():
        from offload.deploy.headless import look

        return look(place, contact)
    if contact.is_elsewhere():
        return {"name": place.name, "state": ELSEWHERE, "services": [], "workers": []}
    try:
        if contact.state == AWAY:  # as whoever keeps the connection has found out
            raise HeadGoneError(contact.reason)
        return ask(place, contact, "GET", "/v1/status", seconds=STATUS_SECONDS)
    except (HeadGoneError, RefusedError, ClockError) as exc:
        contact = known(place) or contact
        link = link_of(place)
        how = contact.state if contact.state in (AWAY, REFUSED) else "silent"
        how = REFUSED if isinstance(exc, RefusedError) else how
        reason = contact.reason or exc.message
        site = link.site if link is not None else None
        hint = exc.hint if isinstance(exc, ClockError) else None
        found = {"name": place.name, "state": how, "reason": reason, "hint": hint, "site": site}
        return {**found, "services": [], "workers": []}
