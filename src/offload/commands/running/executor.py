"""Where many commands run: the base of all executors."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from offload.commands.planning.plan import Plan
    from offload.commands.result import CommandRecord
    from offload.commands.running.execution import Execution
    from offload.errors import OffloadError
    from offload.storage.claims import Claims
    from offload.storage.records import Entry
    from offload.storage.store import Store


class Job:
    """One command among many, and what became of it.

    Attributes
    ----------
    plan : Plan
        What to run.
    state : str
        ``"waiting"``, then ``"recalled"``, ``"computed"``, ``"failed"`` or ``"cancelled"``.
    record : CommandRecord, optional
        Of a recalled one.
    execution : Execution, optional
        Of one that was run.
    entry : Entry, optional
        What is to be recorded of it, where that has not been done.
    error : OffloadError, optional
        Why a failed one could not be run to its end, where that is offload's own finding.
    unrecorded : str
        Why the result of a computed one is not recorded.
    strays : list of str
        What a computed one made or changed beside its outputs, as in `Computed`.
    uses : int
        How often it stands in the list.
    tries : int
        How often it has been begun.
    claims : Claims, optional
        Where it is claimed, by a process that runs it here.
    """

    __slots__ = (
        "claims",
        "entry",
        "error",
        "execution",
        "outcome",
        "plan",
        "record",
        "state",
        "strays",
        "tries",
        "unrecorded",
        "uses",
    )

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.state = "waiting"
        self.record: CommandRecord | None = None
        self.execution: Execution | None = None
        self.entry: Entry | None = None
        self.error: OffloadError | None = None
        self.unrecorded = ""
        self.outcome = ""
        self.strays: list[str] = []
        self.uses = 0
        self.claims: Claims | None = None
        self.tries = 0

    def again(self) -> None:
        """Let go of what came of it: it is to be run once more."""
        self.execution = self.entry = self.error = None
        self.unrecorded, self.strays = "", []
        self.let_go()

    def slim(self, store: Store | None) -> None:
        """Let go of what is not needed once it is recorded; with a store, of its output, which is there."""
        self.plan.record, self.plan.data, self.plan.installed = {}, b"", b""
        if self.execution is not None and store is not None:
            self.execution.stdout.leave_to(store)
            self.execution.stderr.leave_to(store)

    def let_go(self) -> None:
        """End the claim, where there is one."""
        if self.claims is not None:
            self.claims.release(self.plan.transformation)
            self.claims = None


class CommandExecutor(ABC):
    """Runs the commands of one `ManyCommands`, in the order in which it gets them, several at once."""

    @abstractmethod
    def start(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        """Take on jobs. It alone fills in what came of them, but their states.

        Parameters
        ----------
        jobs : sequence of Job
            Their plans have been checked.
        say : callable
            Tells the user what goes on, from now on.
        """

    @abstractmethod
    def finished(self, seconds: float) -> list[tuple[Job, str]]:
        """Return the jobs that have come to their end since, and their states; wait some seconds for the first.

        Outputs of a ``"computed"`` one have been brought back. A ``"recalled"`` one has been recorded meanwhile by
        somebody else; finding its record is left to the caller.
        """

    @abstractmethod
    def stop(self) -> None:
        """End what is under way, and begin no more; `finished` soon gives all that were taken on."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. Output that was put aside is gone then."""
