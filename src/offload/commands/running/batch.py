"""Taking in what commands without outputs have given: looked at, stored and made ready to be recorded by the batch."""

from __future__ import annotations

import os

from offload.commands.result import CommandRecord
from offload.commands.running.execution import LEFTOVERS, Execution
from offload.commands.running.one import EMPTY, changed_in_place, entry
from offload.commands.running.scratch import Scratch, remove_tree
from offload.commands.running.session import start_error
from offload.commands.running.spool import held
from offload.commands.running.staging import Stager
from offload.errors import OffloadError, StorageError
from offload.identity.checksums import checksum
from offload.records.provenance import where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from offload.commands.planning.plan import Plan
    from offload.commands.planning.planner import Planner
    from offload.commands.running.executor import Job
    from offload.registry.session import Session


LOST = "it was ended, since the process that had started it was killed"
UNKEPT = "have it write to a file that is an output, or to /dev/null; --scratch and TMPDIR name another disk"


class Ended:
    """A command that the starter has, or had.

    Parameters
    ----------
    job : Job
        Which.
    absent : sequence of str
        Absolute paths that it names, and that did not exist before it ran.
    lost : bool
        Whether it has a recorded result that is not stored any more.
    stager : Stager, optional
        Knows what is in its scratch directory, where it has one of its own.
    """

    __slots__ = ("absent", "job", "left", "lost", "stager")

    def __init__(self, job: Job, absent: Sequence[str] = (), lost: bool = False, stager: Stager | None = None) -> None:
        self.job = job
        self.absent = absent
        self.lost = lost
        self.stager = stager
        self.left: str | None = None

    def take(self, message: tuple[Any, ...]) -> None:
        """Take what the starter says of its end."""
        _, _, code, started, seconds, cpu, peak, stdout, stderr, whole, self.left = message
        execution = self.job.execution = Execution(code, started, seconds, held(stdout), held(stderr))
        execution.cpu_seconds, execution.peak_memory_bytes = cpu, peak
        if not whole:
            execution.unrecordable = LEFTOVERS

    def hear(self, message: tuple[Any, ...], place: str) -> OffloadError | None:
        """Take what the starter says, whatever it is; return why the command was not run to its end, if it was not.

        Parameters
        ----------
        message : tuple
            The last one about the command.
        place : str
            From where the path of its program leads on.
        """
        plan = self.job.plan
        if message[0] == "refused":
            error = OSError(message[2], os.strerror(message[2]))
            return start_error(plan.request.argv[0], os.path.join(place, plan.executable), error)
        if message[0] == "lost":
            return OffloadError(LOST)
        if message[0] == "broken":
            self.left = message[3]
            return OffloadError(f"it was ended, since what it wrote cannot be kept: {os.strerror(message[2])}", UNKEPT)
        if message[0] == "ended":
            self.take(message)
        return None

    def strays(self, aside: Scratch) -> list[str]:
        """Return what it made beside its outputs, and remove what it left in the empty directory that it had."""
        if self.stager is not None:
            return self.stager.strays(self.job.plan.request.output_paths)
        if self.left is None:
            return [path for path in self.absent if os.path.exists(path)]
        there = Scratch.at(self.left, aside.parent)
        found = Stager(there, self.absent).strays(())
        remove_tree(self.left)
        return found


class Batch:
    """Commands that have ended well, and are to be taken in.

    Parameters
    ----------
    session : Session
        Where results are stored.
    planner : Planner
        Looks whether what was used in place has changed.
    aside : Scratch
        Where output is put aside.
    """

    def __init__(self, session: Session, planner: Planner, aside: Scratch) -> None:
        self._session = session
        self._planner = planner
        self._aside = aside
        self._ended: list[Ended] = []
        self._installed: set[str | None] = {None}

    def add(self, ended: Ended) -> None:
        """Take on a command that has an execution."""
        self._ended.append(ended)

    def take_in(self) -> list[tuple[Job, str]]:
        """Store what all of them have given; return them, with what is to be recorded."""
        batch, self._ended = self._ended, []
        good: list[Ended] = []
        changed: dict[tuple[str, ...], str] = {}
        for ended in batch:
            job = ended.job
            if ended.stager is None:  # else its own scratch directory has been looked at, and is gone
                job.strays = ended.strays(self._aside)
            assert job.execution is not None
            job.unrecorded = job.execution.unrecordable or self._changed(job.plan, changed)
            if not job.unrecorded:
                good.append(ended)
        try:
            self._store(good)
        except StorageError:  # that of one may be too large for the disk
            for ended in good:
                try:
                    self._store([ended])
                except StorageError as error:
                    ended.job.unrecorded = error.message
        for ended in batch:
            if ended.job.entry is None:  # else it is claimed until it is recorded
                ended.job.let_go()
        return [(ended.job, "computed") for ended in batch]

    def _changed(self, plan: Plan, known: dict[tuple[str, ...], str]) -> str:
        """Return why a result does not count, as `changed_in_place` does; the same programs are looked at once."""
        key = (plan.executable, plan.executable_checksum, *plan.programs.values(), *plan.program_checksums.values())
        if plan.in_place():
            return changed_in_place(plan, self._planner)
        if key not in known:
            known[key] = changed_in_place(plan, self._planner)
        return known[key]

    def _store(self, ended: Sequence[Ended]) -> None:
        store = self._session.store
        contents: dict[str, bytes] = {}
        records: list[tuple[Ended, bytes, list[list[str]]]] = []
        for one in ended:
            plan, execution = one.job.plan, one.job.execution
            assert execution is not None
            if plan.software not in self._installed:
                contents[checksum(plan.installed)] = plan.installed  # for `why`
            stdout, stderr = execution.stdout.gather(contents, store), execution.stderr.gather(contents, store)
            record = CommandRecord(stdout, stderr, []).encode()
            contents[checksum(record)] = record
            records.append((one, record, [["stdout", stdout]] if stdout != EMPTY else []))
        if contents:
            store.put(list(contents.values()))
        self._installed.update(one.job.plan.software for one in ended)
        place = where()
        for one, record, made in records:
            assert one.job.execution is not None
            one.job.entry = entry(one.job.plan, one.job.execution, record, one.lost, {"made": made}, place)
