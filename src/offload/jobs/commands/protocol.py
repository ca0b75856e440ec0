"""What clients, the job service and workers say to each other about commands.

They are pickled as those about calls are: see :mod:`offload.jobs.calls.protocol`. Clients ask, as POST requests:

    /v1/commands          CommandSubmission -> list of Ticket, one for each plan
    /v1/commands/watch    Watch -> dict of job id -> News, as soon as there is anything new, or {} after some seconds
    /v1/commands/leave    Leave -> None; what nobody else waits for, and is not detached, is cancelled
    /v1/commands/cancel   list of job ids, or None for all -> list of JobInfo: how they are now
    /v1/commands/programs Look -> list of (machine, table of programs there), one for each machine that has answered
    /v1/commands/list     True (ended ones, too) or False -> list of JobInfo

A worker that runs jobs, one after the other, reports, and is told each time whether to go on:

    /v1/attempts/begin    Begin -> list of Begun; jobs that are not to be run (any more) are left out
    /v1/attempts/report   list of Report -> list of bool: go on?
"""

from __future__ import annotations

import dataclasses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.planning.plan import Plan
    from offload.errors import OffloadError
    from offload.storage.records import Entry
    from offload.util.resources import Resources

WAITING, RUNNING, ENDED = "waiting", "running", "ended"
"""States of a job. An ended one has an `Outcome`."""

CANCELLING = "being cancelled"
"""The reason of a job that runs, but is not to go on."""

NO_WORKERS = "no workers are connected"
"""The reason of jobs that wait for workers; the deployment's head knows more."""


@dataclasses.dataclass(slots=True)
class CommandSubmission:
    """Commands to be run.

    Attributes
    ----------
    client : str
        Who waits for them; random, the same for all requests of one client.
    plans : list of Plan
        Complete: what they depend on is in the store, or can be read where the worker is.
    directory : str
        The client's current directory, to which outputs come back.
    path : str
        The client's ``PATH``.
    detach : bool
        Whether the jobs go on when no client waits for them.
    """

    client: str
    plans: list[Plan]
    directory: str
    path: str
    detach: bool = False


@dataclasses.dataclass(slots=True)
class Ticket:
    """A job that a plan has become.

    Attributes
    ----------
    job : int
        Its number; the same for all clients that ask for the same command while it is under way.
    joined : bool
        Whether another client had asked for it.
    recorded : bool
        Whether no job is needed: the result has been recorded meanwhile. The number is 0 then.
    """

    job: int
    joined: bool = False
    recorded: bool = False


@dataclasses.dataclass(slots=True)
class Watch:
    """What a client wants to know.

    Attributes
    ----------
    client : str
        Who asks.
    jobs : dict of int to (int, int) or None
        For each job how many bytes of stdout and of stderr the client has; None where it wants only the end.
    seconds : float
        How long the answer may take when there is nothing new.
    """

    client: str
    jobs: dict[int, tuple[int, int] | None]
    seconds: float


@dataclasses.dataclass(slots=True)
class News:
    """How a job is, and what it has written since.

    Attributes
    ----------
    state : str
        `WAITING`, `RUNNING` or `ENDED`.
    reason : str
        What a waiting job waits for, in words for the user; what happened to a running one.
    worker : str
        Who runs it.
    stdout, stderr : bytes
        What follows the bytes that the client has; a piece, where there is much.
    outcome : Outcome or None
        Only for an ended job, with the last of its output.
    """

    state: str
    reason: str = ""
    worker: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    outcome: Outcome | None = None


@dataclasses.dataclass(slots=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    exit_code : int or None
        The command's; None where it did not end by itself.
    started, seconds : float
        Unix time, and how long it ran.
    record : bytes or None
        Its :class:`offload.commands.result.CommandRecord`, encoded; all that it names is in the store.
    entry : Entry or None
        From worker to service only: what the database is to keep.
    outcome : str
        What the database said of it: ``"recorded"``, ``"same"``, ``"irreproducible"``, ``"replaced"``, or "".
    unrecorded : str
        Why the result of a command that ended well is not recorded.
    strays : list of str
        What it made or changed beside its outputs.
    error : OffloadError or None
        Why it was not run, or its end is not known; storage trouble.
    cancelled : bool
        Whether somebody cancelled it.
    """

    exit_code: int | None = None
    started: float = 0.0
    seconds: float = 0.0
    record: bytes | None = None
    entry: Entry | None = None
    outcome: str = ""
    unrecorded: str = ""
    strays: list[str] = dataclasses.field(default_factory=list)
    error: OffloadError | None = None
    cancelled: bool = False


@dataclasses.dataclass(slots=True)
class Look:
    """Which programs a client wants to know of workers: see :mod:`offload.commands.planning.fingerprints`.

    Attributes
    ----------
    programs, words : list of str
        Their names.
    path : str
        The client's ``PATH``, where programs are looked for that are not on the worker's.
    resources : Resources
        What the workers are to have.
    """

    programs: list[str]
    words: list[str]
    path: str
    resources: Resources = ()


@dataclasses.dataclass(slots=True)
class Leave:
    """A client goes, and waits for some jobs no longer."""

    client: str
    jobs: list[int]


@dataclasses.dataclass(slots=True)
class JobInfo:
    """A job, for a list of jobs.

    Attributes
    ----------
    job : int
        Its number.
    state : str
        `WAITING`, `RUNNING` or `ENDED`.
    reason : str
        As in `News`.
    label : str
        The command line.
    transformation : str
        Its checksum.
    directory : str
        Where it was submitted, and its outputs belong.
    detached : bool
        Whether it goes on without a client.
    worker : str
        Who runs it, or ran it.
    submitted, started, ended : float or None
        Unix times.
    outcome : Outcome or None
        Of an ended one.
    """

    job: int
    state: str
    reason: str
    label: str
    transformation: str
    directory: str
    detached: bool
    worker: str
    submitted: float
    started: float | None
    ended: float | None
    outcome: Outcome | None


@dataclasses.dataclass(slots=True)
class Begin:
    """A worker is about to run jobs.

    Attributes
    ----------
    jobs : tuple of int
        Which.
    worker, host : str
        Who, and on which machine.
    pid : int
        Of the worker's process.
    """

    jobs: tuple[int, ...]
    worker: str
    host: str
    pid: int


@dataclasses.dataclass(slots=True)
class Begun:
    """The service's answer: what to run.

    Attributes
    ----------
    job : int
        Its number.
    attempt : int
        The number under which the worker reports. Earlier attempts are void.
    plan : bytes
        The plan, pickled.
    directory, path : str
        The client's current directory, from which relative paths lead to inputs, and its ``PATH``.
    """

    job: int
    attempt: int
    plan: bytes
    directory: str
    path: str


@dataclasses.dataclass(slots=True)
class Report:
    """What a running command has written, or its end; sent every half second also when there is nothing.

    Attributes
    ----------
    job, attempt : int
        Which.
    stdout_at, stderr_at : int
        Where the pieces begin: a report that is sent twice is taken once.
    stdout, stderr : bytes
        The pieces.
    outcome : Outcome or None
        In the last report.
    given_up : bool
        In the last report of a worker that is told to close: the job is to be run elsewhere.
    given_back : bool
        In the only report of a job that has not begun, since another one takes long: so it is not to wait for that.
    """

    job: int
    attempt: int
    stdout_at: int
    stderr_at: int
    stdout: bytes = b""
    stderr: bytes = b""
    outcome: Outcome | None = None
    given_up: bool = False
    given_back: bool = False
