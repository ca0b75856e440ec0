"""``offload.run``: a command from Python."""

from __future__ import annotations

import os
import sys

from offload.commands.request import Asking, Request
from offload.errors import CommandError, UsageError
from offload.notices import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from offload.commands.planning.plan import Plan
    from offload.commands.planning.planner import Planner
    from offload.commands.planning.stdin import Stdin
    from offload.commands.running.one import Computed
    from offload.commands.running.scratch import Scratch
    from offload.errors import OffloadError
    from offload.registry.deployments import Place
    from offload.registry.session import Session
    from offload.util.resources import Resources

    Path = str | os.PathLike[str]

TAIL = 2000


class CommandResult:
    """What a command gave.

    Attributes
    ----------
    argv : list of str
        The command.
    stdout, stderr : bytes
        What it wrote.
    exit_code : int
        As a shell gives it: 128+N when signal N ended it.
    recalled : bool
        Whether it was recorded before, and did not run now.
    recorded : bool
        Whether the result is recorded.
    unrecorded : str
        If not: why.
    transformation : str
        The checksum that is the command's identity.
    seconds : float
        How long it took, when it ran.
    outputs : list of str
        Its outputs, in the current directory.
    worker : str or None
        Who ran it, on a deployment; None where it was recalled, or ran in a process of this one.
    job : int or None
        As which job it ran there.
    """

    __slots__ = (
        "argv",
        "exit_code",
        "job",
        "outputs",
        "recalled",
        "recorded",
        "seconds",
        "stderr",
        "stdout",
        "transformation",
        "unrecorded",
        "worker",
    )

    def __init__(
        self,
        argv: list[str],
        stdout: bytes,
        stderr: bytes,
        *,
        exit_code: int,
        recalled: bool,
        unrecorded: str,
        transformation: str,
        seconds: float,
        outputs: list[str],
        worker: str | None = None,
        job: int | None = None,
    ) -> None:
        self.argv = argv
        self.stdout = stdout
        self.stderr = stderr
        self.exit_code = exit_code
        self.recalled = recalled
        self.recorded = exit_code == 0 and not unrecorded
        self.unrecorded = unrecorded
        self.transformation = transformation
        self.seconds = seconds
        self.outputs = outputs
        self.worker = worker
        self.job = job
        for path in outputs:
            sys.audit("offload.made", path)  # by a call that is running

    @property
    def text(self) -> str:
        """What the command wrote to stdout, as UTF-8 text."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        """What the command wrote to stderr, as UTF-8 text."""
        return self.stderr.decode("utf-8", "replace")

    def lines(self) -> list[str]:
        """Return the lines of `text`."""
        return self.text.splitlines()

    def __repr__(self) -> str:
        how = "recalled" if self.recalled else "computed"
        return f"<CommandResult {self.argv!r}: exit code {self.exit_code}, {how}, {counted(len(self.stdout), 'byte')}>"


def run(
    argv: Sequence[Path],
    *,
    input: Iterable[Path] = (),
    output: Iterable[Path] = (),
    var: Mapping[str, str] | None = None,
    stdin: bytes | Path | None = None,
    scratch: Path | None = None,
    env: Path | None = None,
    fresh: bool = False,
    check: bool = True,
    on: str | None = None,
    resources: Mapping[str, float] | None = None,
) -> CommandResult:
    """Run a command, or recall what it gave before; the same as ``offload run``, and recorded in the same place.

    Parameters
    ----------
    argv : sequence of str or path
        The command and its arguments. No shell is involved: ``["sh", "-c", "seq 3 | tac"]`` names one.
    input : iterable of str or path
        Files and directories that the command reads, beside those that its words name.
    output : iterable of str or path
        Files and directories to bring back into the current directory.
    var : mapping, optional
        Environment variables for the command; they count.
    stdin : bytes, or str or path, optional
        The standard input, or the file that holds it. By default there is none.
    scratch : str or path, optional
        Where to make the scratch directory; by default ``$TMPDIR`` or ``/tmp``.
    env : str or path, optional
        A virtual or conda environment, by its directory or name; what is installed in it counts.
    fresh : bool
        Compute even if a result is recorded.
    check : bool
        Raise an error when the command fails.
    on : str, optional
        The deployment that runs it where it is not recorded; ``"none"`` for this process. By default the active one.
    resources : mapping of str to float, optional
        What it needs of its worker there, beside a thread: ``{"GPU": 1}``. It does not count.

    Returns
    -------
    CommandResult
        With the output as bytes.

    Raises
    ------
    CommandError
        The command ended with another exit code than 0; the message ends with what it wrote last to stderr.
    OffloadError
        An input is missing, a declared output was not made, the storage cannot be used.

    Examples
    --------
    >>> import offload
    >>> offload.run(["sh", "-c", "seq 1 3 | tac"]).lines()
    ['3', '2', '1']
    >>> offload.run(["sh", "-c", "seq 1 3 | tac"]).recalled
    True
    """
    if isinstance(argv, (str, bytes)):
        raise UsageError("a command is a list of words", f"offload.run(['sh', '-c', {argv!r}])")
    from offload.commands.running.scratch import Scratch
    from offload.registry.active import EMBEDDED
    from offload.registry.session import session_at

    request = Request(
        [os.fspath(word) for word in argv],
        inputs=[os.fspath(path) for path in input],
        outputs=[os.fspath(path) for path in output],
        variables=var,
        scratch=None if scratch is None else os.fspath(scratch),
        fresh=fresh,
        environment=None if env is None else os.fspath(env),
        resources=_resources(resources),
    )
    # What a task runs, runs where the task does: waiting for another worker, it could wait for itself.
    session, place = session_at(EMBEDDED if on is None and _in_task() else on)
    aside = Scratch(request.scratch)
    try:
        result, problem, known = _run(request, _stdin_of(stdin, session, aside), session, place, aside)
    finally:
        aside.remove()
    if problem is not None:
        import warnings

        warnings.warn(f"the result of the command is not recorded: {problem}", RuntimeWarning, stacklevel=2)
    if check and result.exit_code:
        raise _failure(request, result, known)
    return result


def _warn(text: str) -> None:
    """Tell what counts by its name alone."""
    import warnings

    from offload.errors import EffectWarning
    from offload.notices import users_level

    warnings.warn(EffectWarning(text), stacklevel=users_level())


def _stdin_of(stdin: bytes | Path | None, session: Session, scratch: Scratch) -> Stdin:
    from offload.commands.planning.stdin import Stdin, find, of_bytes

    if stdin is None:
        return Stdin()
    if isinstance(stdin, bytes):
        return of_bytes(stdin, scratch)
    return find(os.path.abspath(stdin), session.files, scratch, _keep_quiet)


def _run(
    request: Request, stdin: Stdin, session: Session, place: Place | None, scratch: Scratch
) -> tuple[CommandResult, OffloadError | None, list[str]]:
    """Recall or run a command; return also what trouble the storage made, and the names of the inputs."""
    from offload.commands.recall import planner_for, recall, recall_recorded
    from offload.commands.result import chunks

    if place is not None:
        from offload.commands.planning.remote_programs import look_there

        def workers() -> Asking:
            from offload.jobs.commands.programs import workers_of

            return workers_of(place, _warn, _keep_quiet)

        look_there([request], place, False, workers)
    planner = planner_for(session)
    plan = planner.plan([request], stdin)[0]
    known = [item.path for item in plan.inputs]
    record = None if request.fresh else recall(plan, session)
    if record is None:
        computed = _compute(plan, planner, session, place, scratch)
        if computed is not None:
            execution = computed.execution
            result = CommandResult(
                request.argv,
                execution.stdout.read(),
                execution.stderr.read(),
                exit_code=execution.exit_code,
                recalled=False,
                unrecorded=computed.unrecorded,
                transformation=plan.transformation,
                seconds=execution.seconds,
                outputs=request.output_paths,
                worker=computed.worker,
                job=computed.job,
            )
            return result, computed.problem, known
        record = recall_recorded(plan, session)
    result = CommandResult(
        request.argv,
        b"".join(chunks(record.stdout_data, record.stdout, session.store)),
        b"".join(chunks(record.stderr_data, record.stderr, session.store)),
        exit_code=0,
        recalled=True,
        unrecorded="",
        transformation=plan.transformation,
        seconds=0.0,
        outputs=request.output_paths,
    )
    return result, None, known


def _compute(plan: Plan, planner: Planner, session: Session, place: Place | None, scratch: Scratch) -> Computed | None:
    """Run a command, here or on a deployment; None when it was recorded meanwhile by somebody else."""
    if place is None:
        from offload.commands.running.one import compute

        return compute(plan, planner, session, scratch, (None, None), _keep_quiet)
    from offload.jobs.commands.client import connected
    from offload.jobs.commands.run_one import compute_there

    with connected(place, _keep_quiet) as jobs:
        return compute_there(plan, jobs, session, scratch, (None, None), _keep_quiet)


def _in_task() -> bool:
    calls = sys.modules.get("offload.tasks.inside")
    return calls is not None and calls.inside()


def _failure(request: Request, result: CommandResult, known: list[str]) -> CommandError:
    from offload.commands.hints import missing_inputs

    hints = [
        f"{name} exists here but is not an input: add input=[{name!r}]" for name in missing_inputs(result.stderr, known)
    ]
    tail = result.stderr[-TAIL:].decode("utf-8", "replace").strip()
    code = result.exit_code
    return CommandError(
        f"{request.label} ended with exit code {code}" + (f":\n{tail}" if tail else ""), "; ".join(hints) or None
    )


def _keep_quiet(text: str) -> None:
    """Tell nobody."""


def _resources(given: Mapping[str, float] | str | None) -> Resources:
    if not given:
        return ()
    from offload.util.resources import parse_resources

    return parse_resources(given)
