"""The base of all batch systems: scripts are written, jobs submitted, asked for and cancelled."""

from __future__ import annotations

import contextlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from offload.batch import script as scripts
from offload.batch.request import JobRequest
from offload.batch.state import JobState, Queue
from offload.errors import OffloadError, UsageError
from offload.hosts.base import Done, NotDoneError, Site
from offload.hosts.local import Here

SECONDS = 60.0
"""How long a command of a batch system may take."""

ARRIVES_SECONDS, POLL = 10.0, 1.0
"""For how long a job is looked for whose submission had no clear answer, and how often."""

_SIGNALS = range(129, 144)  # what a shell says of a command that a signal has ended; PBS has codes of its own above

# Variables of a job that the caller may be in, or of a user's taste, would change what a command does. The text is one
# that any login shell can pass on: without quotation marks of the other kind, backslashes and line ends.
_CLEAN = (
    'for name in $(env | grep -E "^[A-Za-z_][A-Za-z0-9_]*=" | cut -d= -f1); do '
    'case $name in {kept}) ;; {dropped}) unset $name ;; esac; done; exec "$@"'
)


class BatchAwayError(OffloadError):
    """The batch system does not answer now, which says nothing about its jobs; ask again later.

    A submission that failed so may have arrived all the same: `BatchSystem.mine` tells, after some seconds.
    """


class RefusedError(OffloadError):
    """The batch system does not take a job.

    Parameters
    ----------
    message : str
        Its own words.
    script : str
        What it was given.
    """

    def __init__(self, message: str, script: str) -> None:
        lines = [line for line in script.splitlines() if re.match(r"#(SBATCH|\$|PBS|BSUB|OAR) |\w[\w.+]* = ", line)]
        super().__init__(message, "it was given:\n" + "\n".join(f"    {line}" for line in lines))
        self.script = script

    def __reduce__(self) -> tuple[type[RefusedError], tuple[str, str]]:
        return type(self), (self.message, self.script)


class BatchSystem(ABC):
    """A batch system, whose commands are run on a site. Each command that is run is one request to it.

    Parameters
    ----------
    site : Site, optional
        Where its commands are: this machine, unless something else is said.

    Attributes
    ----------
    name : str
        As users write it: ``slurm``.
    section : str
        What the section of Dask's configuration is called, where that is something else.
    title : str
        As it is called in messages.
    lacks : mapping
        The parts of a request that it has no words for, and what to do about them.
    away : str
        A pattern for what its commands say when it does not answer.
    kept, dropped : str
        Variables, as patterns of a shell, that its commands are to see, and those that they are not to see: of a job
        that the caller is in, and those that change what is submitted, or what is said of it.
    """

    name: ClassVar[str]
    section: ClassVar[str] = ""
    title: ClassVar[str]
    lacks: ClassVar[Mapping[str, str]] = {}
    away: ClassVar[str]
    kept: ClassVar[str] = '""'
    dropped: ClassVar[str] = '""'

    def __init__(self, site: Site | None = None) -> None:
        self.site = site if site is not None else Here()

    def filled(self, request: JobRequest) -> JobRequest:
        """Return a request with what the user's Dask configuration says where it says nothing."""
        return scripts.filled(request, self.section or self.name)

    def script(self, request: JobRequest) -> str:
        """Return the whole batch script for a request.

        Raises
        ------
        UsageError
            If it asks for something that the batch system has no words for.
        """
        nothing = JobRequest("nothing", ("true",))
        for what, instead in self.lacks.items():
            if getattr(request, what) != getattr(nothing, what):
                raise UsageError(f"{self.title} cannot be asked for {what}", instead)
        return self._script(request)

    @abstractmethod
    def _script(self, request: JobRequest) -> str:
        """Return the script for a request that holds nothing that this lacks."""

    @abstractmethod
    def submit(self, script: str) -> str:
        """Submit a script; return the job's id.

        Raises
        ------
        RefusedError
            With the batch system's own words.
        BatchAwayError
            If it does not answer.
        """

    def _submitted(self, done: Done, pattern: str, script: str) -> str:
        """Return the id of a job from what a submission said; wrappers of a site may say more before and after it.

        Raises
        ------
        RefusedError
            If the submission failed.
        BatchAwayError
            If it did not fail, and says no id: the job may be there; look for it before another is submitted.
        """
        found: list[str] = re.findall(pattern, done.text, re.MULTILINE)
        if done.code < 0 or done.code in _SIGNALS:
            raise BatchAwayError(f"the command that submits was killed, and {self.title} may have the job")
        if done.code and found:
            raise BatchAwayError(f"{self.title} took the job, and then failed: {words_of(done)}")
        if done.code:
            raise RefusedError(f"{self.title} refuses the job: {words_of(done)}", script)
        if not found:
            raise BatchAwayError(f"{self.title} took the job and said no number: {words_of(done)}")
        return found[-1]

    def submit_once(self, request: JobRequest, others: Collection[str] = ()) -> str:
        """Submit a job; where the answer is not clear, look for it by its name. Return its id.

        Parameters
        ----------
        request : JobRequest
            The job's.
        others : collection of str
            The ids of jobs of the same name that it is not.

        Raises
        ------
        RefusedError
            With the batch system's own words.
        BatchAwayError
            If there was no clear answer, and it was not found: ask `named` before another is submitted.
        """
        try:
            return self.submit(self.script(request))
        except BatchAwayError:
            deadline = time.monotonic() + ARRIVES_SECONDS
            while True:
                with contextlib.suppress(BatchAwayError):  # then the first one is what went wrong
                    if (found := self.named(request.name, others)) is not None:
                        return found
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL)

    def named(self, name: str, others: Collection[str] = ()) -> str | None:
        """Return the id of a job of this user that waits or runs and has just this name; None where there is none.

        Parameters
        ----------
        name : str
            As it was submitted.
        others : collection of str
            The ids of jobs of this name that are not meant.

        Raises
        ------
        BatchAwayError
            If the batch system does not answer.
        """
        found = [job for job, called in self.mine(name).items() if called == name and job not in others]
        return found[-1] if found else None

    @abstractmethod
    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each of these jobs of this user, with as many commands for all of them as for one.

        One that the batch system does not know is `Phase.UNKNOWN`. How often this is called is the caller's to limit.

        Raises
        ------
        BatchAwayError
            If the batch system does not answer.
        """

    @abstractmethod
    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs, pending or running; for those that have ended already, nothing happens.

        Raises
        ------
        BatchAwayError
            If the batch system does not answer.
        """

    @abstractmethod
    def mine(self, label: str) -> dict[str, str]:
        """Return this user's jobs that wait or run and whose names begin with a label: name by id.

        Raises
        ------
        BatchAwayError
            If the batch system does not answer.
        """

    def nodes(self) -> list[str]:
        """Return addresses of some nodes, to find out by which way they are reached; none where nobody tells."""
        return []

    def about(self) -> str:
        """Return its name and version; only the name where nobody tells."""
        return self.title

    def queues(self) -> list[Queue]:
        """Return the queues that this user may know of; none where nobody tells."""
        return []

    def rehearse(self, script: str) -> str:
        """Return what would become of a script, in the batch system's words; "" where it does not tell.

        Raises
        ------
        RefusedError
            If it would not take it.
        """
        return ""

    def hosts(self, nodes: str) -> list[str]:
        """Return each of the nodes of a job, from how `JobState.nodes` names all of them; by rank in its allocation."""
        return [nodes] if nodes else []

    def own_nodes(self) -> list[str]:
        """Return the nodes of the allocation that this process is in, its own first."""
        return []

    def on_node(self, node: str, command: Sequence[str]) -> list[str]:
        """Return a command that runs another one on one of these, with its standard input and output."""
        raise NotImplementedError(f"{self.title} is asked for one node only")

    def parts(self, job: str, request: JobRequest) -> list[str]:
        """Return the ids of all jobs that one submission of a request has made."""
        return [job]

    def part(self, job: str) -> int | None:
        """Return the number of a job in its array; None where it is in none."""
        return None

    def run(self, words: Sequence[str], data: str = "", fine: str | None = None) -> Done:
        """Run a command of the batch system.

        Parameters
        ----------
        words : sequence of str
            The command.
        data : str
            Its standard input.
        fine : str, optional
            A pattern for what it may say when it fails without anything being wrong. Without this, a failure is
            for the caller to see, in the exit code.

        Raises
        ------
        BatchAwayError
            If the batch system does not answer.
        OffloadError
            If there is no such command, or it says something else than what is `fine`.
        """
        clean = _CLEAN.format(kept=self.kept, dropped=self.dropped)
        try:
            done = self.site.run(["sh", "-c", clean, "sh", *words], data.encode(), SECONDS, check=False)
        except NotDoneError:
            raise BatchAwayError(f"{self.title} does not answer: {words[0]} took longer than {SECONDS:g} s") from None
        said = done.err.decode("utf-8", "replace")
        absent = re.search(r"(?:exec|env|sh|\d): \W?(\w+)\W?: (?:command )?(?:not found|No such file)", said)
        if done.code == 127 and absent:
            where = "here" if self.site.name == "here" else f"on {self.site.name}"
            raise UsageError(f"there is no {absent[1]} {where}", f"is that a machine from which {self.title} is used?")
        if done.code and (found := re.search(self.away, said + done.text)):
            line = next(line for line in (said + done.text).splitlines() if found[0] in line)
            raise BatchAwayError(f"{self.title} does not answer: {line.strip()}")
        if done.code and fine is not None and not re.search(fine, said + done.text):
            raise OffloadError(f"{words[0]} failed: {words_of(done)}", f"try it: {self.site.shown(words)}")
        return done


def words_of(done: Done) -> str:
    """Return what a command has said on one line, without its own name before each."""
    names = "|".join(re.escape(word) for word in done.words if word.isidentifier())
    said = done.err.decode("utf-8", "replace").splitlines()
    lines = [re.sub(rf"^({names}): (error: |fatal: )?", "", line.strip()) for line in said]
    return "; ".join(dict.fromkeys(line for line in lines if line)) or done.said
