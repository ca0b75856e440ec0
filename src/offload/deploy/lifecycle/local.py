"""Bringing deployments of this machine up and down, and telling how they are."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from offload.commands.running.stale_scratch import sweep
from offload.deploy import envfile
from offload.deploy.config.link import Link
from offload.deploy.config.spec import HEAD_JOB, PROCESS, Spec, spec_of
from offload.deploy.endpoints import is_free, known_as, located
from offload.deploy.existing import examine
from offload.deploy.head_client import HeadGoneError, ask
from offload.deploy.lifecycle import container
from offload.deploy.manual_parts import parts
from offload.deploy.security import credentials
from offload.engines.dask_settings import loaded
from offload.errors import DamagedError, DiskFullError, NotFoundError, NotWritableError, OffloadError, RefusedError
from offload.http.certificate_times import ClockError
from offload.notices import counted
from offload.registry.connect import elsewhere
from offload.registry.contact import AWAY, DOWN, ELSEWHERE, REFUSED, Contact
from offload.registry.deployments import Place, Registry, write_atomically
from offload.registry.locks import alone
from offload.storage.home import DEPLOYMENT, Home
from offload.util.filesystems import check_room, translated
from offload.util.liveness import is_alive, is_locked, started
from offload.util.processes import family, kill, last_words, of_place, python, start_detached, wait_until_gone

UP_SECONDS, DOWN_SECONDS, KILL_SECONDS = 90.0, 40.0, 5.0
INTERVAL = 0.05
STATUS_SECONDS = 20.0
ROOM = 1_000_000
"""Bytes that certificates, logs and a new database need at the least."""
LOG_ROOM = 100_000
DISCONNECTED = "disconnected"

Say = Callable[[str], None]
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


def known(place: Place) -> Contact | None:
    """Return what the contact file says; None where there is none, or where a crash has damaged it."""
    try:
        return Contact.read(place.contact)
    except DamagedError:
        return None


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


def link_of(place: Place) -> Link | None:
    """Return how a deployment on another machine is reached; None for one of this machine, or where nobody can tell."""
    try:
        return spec_of(place).link
    except (DamagedError, FileNotFoundError):
        return None


def prepare(registry: Registry, spec: Spec) -> None:
    """Make the place of a deployment, with its spec and its credentials, those that are not there yet."""
    Home(registry.home)
    kept = spec.clients_storage()
    place = registry.create(spec.name, spec.to_json(), *kept)
    credentials.create(place.keys, known_as(located(spec)))


@contextmanager
def single(place: Place, say: Say, again: bool = False) -> Iterator[None]:
    """Let nobody else bring a deployment up or down meanwhile; with `again`, only where it is still known."""
    with alone(place.changing, UP_SECONDS, lambda: say(f"somebody else is bringing {place.name} up or down; waiting")):
        if again and not os.path.exists(place.spec):
            raise NotFoundError(f"{place.name} has been brought down", f"offload up --name {place.name}")
        yield


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


def end_elsewhere(place: Place) -> None:
    """Have whoever serves a deployment in another container end, where no signal and maybe no network reaches them.

    Raises
    ------
    OffloadError
        If they do not.
    """
    contact = known(place)
    if contact is None or not contact.is_of_another_container() or not is_locked(place.lock):
        return
    write_atomically(place.end, "")
    deadline = time.monotonic() + DOWN_SECONDS
    while is_locked(place.lock):
        if time.monotonic() > deadline:
            raise OffloadError(
                f"{place.name} runs in another container of this machine, and does not end", "end that container"
            )
        time.sleep(INTERVAL)


def has_head_job(place: Place) -> bool:
    """Tell whether the head of a deployment is a job of a batch system."""
    return os.path.exists(os.path.join(place.path, HEAD_JOB))


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


def end_all(
    place: Place, seconds: float = 0.0, say: Say = lambda _: None, others: dict[int, str] | None = None
) -> None:
    """See to it that no process of a deployment is left, nor what a head that was killed leaves in the file system.

    Parameters
    ----------
    place : Place
        The deployment.
    seconds : float
        How long its processes may take to end by themselves, once they have been told to; with 0 they are killed.
    say : callable
        Is told when they do not.
    others : dict of int to str, optional
        Processes that are to end, too, with all that descends from them (id: start time).

    Raises
    ------
    OffloadError
        If one cannot be ended.
    """
    contact = known(place)
    if seconds:
        told = of_place(place.path, "offload.deploy.head") | (others or {})
        if contact is not None:  # what was started by hand goes by other names
            told[contact.head["pid"]] = contact.head["started"]
        kill(told, signal.SIGTERM)
    left = wait_until_gone(_members(place, others), seconds)
    if left:
        if seconds:
            say(f"{counted(len(left), 'process', 'processes')} did not end when asked; killing")
        left |= _members(place, others)
        kill(left, signal.SIGKILL)
        left = wait_until_gone(left, KILL_SECONDS)
    if left:
        raise OffloadError(f"processes of {place.name} are still there: {', '.join(map(str, left))}")
    head = contact.head if contact is not None else {}
    for directory in filter(None, (head.get("runtime"), head.get("scratch"))):
        shutil.rmtree(directory, ignore_errors=True)
    if os.path.exists(place.contact):
        os.unlink(place.contact)


def _members(place: Place, others: dict[int, str] | None = None) -> dict[int, str]:
    """Return all processes of a deployment, and others with what descends from them (id: start time)."""
    found: dict[int, str] = {}
    contact = known(place)
    head = [contact.head["pid"]] if contact is not None and contact.head_lives() else []
    for pid in (*of_place(place.path), *head):
        found |= family(pid)
    for pid, since in (others or {}).items():
        if is_alive(pid, since):
            found |= family(pid)
    return found


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
