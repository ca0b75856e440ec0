"""``offload run`` of one command that is not recorded: it runs here or on a deployment, and what came of it is told."""

from __future__ import annotations

from offload.cli.output import print_error, report_json
from offload.cli.run.request import FAILED
from offload.cli.signals import interruptible
from offload.commands.planning.detect import lists_nothing
from offload.commands.planning.scripts import is_script
from offload.commands.request import quoted
from offload.commands.running.session import TIMED_OUT
from offload.commands.running.sinks import sink_to
from offload.util.durations import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from offload.commands.planning.plan import Plan
    from offload.commands.planning.planner import Planner
    from offload.commands.running.one import Computed
    from offload.commands.running.scratch import Scratch
    from offload.registry.deployments import Place
    from offload.registry.session import Session

    Say = Callable[[str], None]

NOT_FOUND = (126, 127)
"""What a shell says of a program that is not there, or not to be executed."""

USUAL = "a command finds the programs that this machine has; those of the workers: offload run --there"
"""What is said on a deployment of a program that is not found."""

MOST_SCRIPT = 1024 * 1024


def computed_by(
    place: Place | None, plan: Plan, planner: Planner, session: Session, scratch: Scratch, tell: Say
) -> Computed | None:
    """Run a command on a deployment, or here; None when somebody else has had it recorded meanwhile."""
    from offload.commands.running.one import compute

    sinks = sink_to(1), sink_to(2)
    try:
        with interruptible():
            if place is None:
                return compute(plan, planner, session, scratch, sinks, tell)
            from offload.jobs.commands.client import connected
            from offload.jobs.commands.run_one import compute_there

            with connected(place, tell) as jobs:
                return compute_there(plan, jobs, session, scratch, sinks, tell)
    except KeyboardInterrupt:
        if place is None:
            tell("interrupted; not recorded")
        raise


def not_found(place: Place | None, there: bool) -> str:
    """Return what to say where a program of this machine is not found, or, with `there`, one of the workers'."""
    if place is None:
        return ""
    if not there:
        return USUAL
    return f"is it on the PATH of {place.name}'s workers? lines before them: offload up --prologue 'module load ...'"


def report_computed(
    computed: Computed,
    subject: dict[str, object],
    known: list[str] | None,
    name: str | None,
    as_json: bool,
    tell: Say,
    unseen: Callable[[], list[str]] | None = None,
    limited: bool = False,
    others: str = "",
    variables: Mapping[str, str] | None = None,
) -> int:
    """Say what came of a command, and return its exit code.

    Parameters
    ----------
    computed : Computed
        That.
    subject : dict
        What the report in JSON says of the command first.
    known : list of str, optional
        The inputs that it had: others that it may have missed are named.
    name : str, optional
        Of the deployment where it ran.
    as_json : bool
        Whether to report in JSON, too.
    tell : callable
        Gets the lines for the user.
    unseen : callable, optional
        Finds what of this directory the command may have missed without failing.
    limited : bool
        Whether its time was limited.
    others : str
        What to say where a program was not found.
    variables : mapping, optional
        Those that it was given.
    """
    execution = computed.execution
    code = execution.exit_code
    hints: list[str] = []
    unset: str | None = None
    if code and not execution.refused and known is not None:
        from offload.commands.hints import TAIL, missing_inputs, not_passed_on

        tail = execution.stderr.tail(TAIL)
        hints, unset = missing_inputs(tail, known), not_passed_on(tail, variables or {})
    if as_json:
        reason = f"exit code {code}" if code else computed.unrecorded or None
        where = {} if name is None else {"deployment": name, "worker": computed.worker, "job": computed.job}
        report_json(
            {
                **subject,
                "recalled": False,
                "recorded": bool(computed.outcome),
                "outcome": computed.outcome or None,
                "reason": reason,
                "exit_code": code,
                "seconds": execution.seconds,
                "cpu_seconds": execution.cpu_seconds,
                "peak_memory_bytes": execution.peak_memory_bytes,
                "started": execution.started,
                "missing_inputs": hints,
                "strays": computed.strays,
                **where,
            }
        )
    took = duration(execution.seconds) + ("" if name is None else f" on {computed.worker} of {name}")
    if code:
        if not execution.refused:
            tell(f"{describe_exit(code, limited)} after {took}; not recorded")
            if code in NOT_FOUND and others:
                tell(others)
        for path in map(quoted, hints):
            tell(f"{path} exists here but is not an input: add --input {path}")
        if unset is not None:
            tell(unset)
    elif computed.problem is not None:
        error = computed.problem
        print_error(type(error)(f"the command ended well, but its result is not recorded: {error.message}", error.hint))
        return FAILED
    elif computed.unrecorded:
        tell(f"computed in {took}; not recorded: {computed.unrecorded}")
    elif computed.outcome == "irreproducible":
        tell(f"computed in {took}; differs from the recorded result, which is kept")
    else:
        tell(f"computed in {took}, {'recorded' if computed.outcome != 'same' else 'as recorded'}")
    if computed.strays:
        tell(describe_strays(computed.strays))
    if not code and unseen is not None:
        for text in unseen():
            tell(text)
    return code


def describe_unseen(plan: Plan) -> list[str]:
    """Return what of this directory a command has not seen, though it may have meant to."""
    inputs = [item.path for item in plan.inputs]
    if not inputs and lists_nothing(plan.request.argv):
        return ["it ran in an empty directory: what is here is not there; declare it with --input ."]
    files = [item.source for item in plan.inputs if item.tree is None and item.size < MOST_SCRIPT]
    scripts = [path for path in files if is_script(path)]
    texts = [word for word in plan.request.argv[1:] if "'" in word or '"' in word]
    if not scripts and not texts:
        return []
    from offload.commands.hints import named_by_scripts, named_by_words

    outputs = plan.request.output_paths
    told = dict.fromkeys(named_by_scripts(inputs, scripts, outputs), "a script")
    told.update(dict.fromkeys(named_by_words(inputs, texts, outputs), "the command"))
    there = "exists here and is not an input: --input"
    return [f"{quoted(name)} is named by {what}, {there} {quoted(name)}" for name, what in told.items()]


def describe_strays(strays: list[str]) -> str:
    """Return what to do about files that a command made, and that are not its outputs.

    Examples
    --------
    >>> describe_strays(["b.txt"])
    'made b.txt, which does not come back: --output b.txt'
    >>> describe_strays(["b c"])
    "made 'b c', which does not come back: --output 'b c'"
    >>> describe_strays(["/data/x"])
    'wrote /data/x, which is not recorded: when recalled it is not written; use a relative path and --output'
    """
    lost = [path for path in strays if not path.startswith("/")]
    names = ", ".join(map(quoted, (lost or strays)[:3])) + (", ..." if len(lost or strays) > 3 else "")
    if lost:
        return f"made {names}, which does not come back: --output {quoted(lost[0])}"
    return f"wrote {names}, which is not recorded: when recalled it is not written; use a relative path and --output"


def describe_exit(code: int, limited: bool = False) -> str:
    """Return an exit code in words; `limited` tells whether the time was.

    Examples
    --------
    >>> describe_exit(3), describe_exit(137)
    ('exit code 3', 'ended by signal 9')
    >>> describe_exit(124), describe_exit(124, limited=True)
    ('exit code 124', 'timed out')
    """
    if limited and code == TIMED_OUT:
        return "timed out"
    return f"ended by signal {code - 128}" if 128 < code < 128 + 65 else f"exit code {code}"
