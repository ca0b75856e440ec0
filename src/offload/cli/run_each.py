"""``offload run`` of one command line for many arguments."""

from __future__ import annotations

import os
import sys
from contextlib import closing

from offload.cli.options import Parsed
from offload.cli.output import keep_quiet, print_line, report_json, say
from offload.cli.progress import Progress
from offload.cli.run import FAILED, PIPE_CLOSED, described, exit_code_of, resources_of, session_and_place, variables_of
from offload.cli.run_computed import describe_exit, describe_strays
from offload.cli.signals import interruptible
from offload.compute.commands.each import ManyCommands
from offload.compute.commands.request import Request, quote
from offload.compute.commands.result import chunks
from offload.compute.commands.sinks import sink_to
from offload.compute.commands.stdin import Stdin
from offload.compute.commands.template import expand, uses
from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload.compute.commands.executor import CommandExecutor, Job
    from offload.compute.commands.sinks import Sink
    from offload.compute.places import Place
    from offload.compute.session import Session

MOST_FAILURES = 20


def run_each(parsed: Parsed) -> int:
    """Run or recall a command for each argument, and return the exit code."""
    if parsed.why:
        raise UsageError("--why explains one command", "give it without --each and :::")
    if parsed.trace:
        raise UsageError("--trace follows one command", "give it without --each and :::")
    command, arguments = _arguments(parsed)
    if not command:
        raise UsageError("no command to run", "offload run -- COMMAND [ARG...] ::: ARGUMENT...")
    requests = _requests(parsed, command, arguments)
    quiet = parsed.quiet or parsed.json
    tell = keep_quiet if quiet else say
    session, place = session_and_place(parsed)
    progress = Progress(len(arguments), shown=not quiet)
    executor = _executor(parsed, session, place, tell)
    commands = ManyCommands(requests, session, _stdin(parsed, session), executor, parsed.fail_fast)
    commands.look_up()
    progress.counts = commands.counts
    if parsed.dry_run:
        return _show(parsed, commands)
    if parsed.detach and place is not None:
        from offload.cli.run_detached import detach

        plans, recorded = [job.plan for job in commands.jobs], [job.state == "recalled" for job in commands.jobs]
        return detach(plans, recorded, session, place, parsed.json, tell)
    if not arguments:
        tell("the list is empty: there is nothing to run")
        return 0
    failures: list[tuple[int, Job]] = []
    try:
        with interruptible(), closing(commands.run(tell, progress.tick)) as jobs:
            for number, job in enumerate(jobs, 1):
                if job.state == "failed":
                    failures.append((number, job))
                if not _write(job, session, progress):
                    return PIPE_CLOSED
    except KeyboardInterrupt:
        progress.end()
        done = commands.counts["recalled"] + commands.counts["computed"]
        if place is None:
            say(f"interrupted: {done:,} of {len(arguments):,} recorded; run it again to go on")
        raise
    progress.end()
    # Results are recorded in batches, the last of them after the last output has been written.
    unrecorded = [job for job in commands.jobs if job.unrecorded]
    _report(parsed, progress, arguments, failures, unrecorded, _strays(commands), place)
    if failures:
        return 1
    return FAILED if unrecorded else 0


def _arguments(parsed: Parsed) -> tuple[list[str], list[str]]:
    """Return the command and the arguments, one for each time that it is to be run."""
    words = parsed.command
    if words.count(":::") > (parsed.each is None) or not {"::::", ":::+", "::::+"}.isdisjoint(words):
        raise UsageError(
            "a command line can have one list of arguments",
            "write a line for each command to a file: --each",
        )
    if parsed.each is None:
        cut = words.index(":::")
        return words[:cut], words[cut + 1 :]
    try:
        if parsed.each == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(parsed.each, "rb") as stream:
                data = stream.read()
    except OSError as error:
        raise UsageError(f"--each {parsed.each}: {error.strerror}") from error
    lines = [os.fsdecode(line.removesuffix(b"\r")) for line in data.split(b"\n")]
    return parsed.command, [line for line in lines if line.strip()]


def _requests(parsed: Parsed, command: list[str], arguments: list[str]) -> list[Request]:
    if not uses([*command, *parsed.var]):
        command = [*command, "{}"]
    variables, resources = variables_of(parsed.var), resources_of(parsed.resources)
    requests = [
        Request(
            [expand(word, argument, number) for word in command],
            inputs=[expand(word, argument, number) for word in parsed.input],
            outputs=[expand(word, argument, number) for word in parsed.output],
            variables={name: expand(value, argument, number) for name, value in variables.items()},
            stdin="none",
            scratch=parsed.scratch,
            detect=parsed.detect,
            fresh=parsed.fresh,
            environment=parsed.env,
            resources=resources,
        )
        for number, argument in enumerate(arguments, 1)
    ]
    _check_outputs(requests)
    return requests


def _check_outputs(requests: list[Request]) -> None:
    """Refuse commands that would write the same file: the last one would win."""
    writers: dict[str, tuple[str, ...]] = {}
    for request in requests:
        for output in request.outputs:
            writer = writers.setdefault(output, tuple(request.argv))
            if writer != tuple(request.argv) and not output.endswith("/") and not os.path.isdir(output):
                raise UsageError(
                    f"several commands would write the output {output}",
                    f"put the argument into its name: --output '{{/.}}-{os.path.basename(output)}'; a directory that "
                    f"they share ends with a slash: --output {output}/",
                )


def _stdin(parsed: Parsed, session: Session) -> Stdin:
    if parsed.stdin is None or parsed.stdin == "none":
        return Stdin()
    if parsed.stdin == "-":
        raise UsageError("many commands cannot share this standard input", "put it into a file: --stdin PATH")
    from offload.compute.commands.stage import Scratch
    from offload.compute.commands.stdin import find

    return find(parsed.stdin, session.files, Scratch(parsed.scratch), keep_quiet)


def _executor(parsed: Parsed, session: Session, place: Place | None, tell: Callable[[str], None]) -> CommandExecutor:
    """Return what runs the commands that are not recorded."""
    most = None
    if parsed.jobs is not None:
        if not parsed.jobs.isdigit() or int(parsed.jobs) < 1:
            raise UsageError(f"-j {parsed.jobs}: not a number of processes")
        if parsed.detach:
            raise UsageError("-j is for commands that are waited for", "leave it out: the workers take what they can")
        most = int(parsed.jobs)
    if place is not None:
        from offload.compute.commandjobs.client import connected
        from offload.compute.commandjobs.many import DeploymentExecutor

        return DeploymentExecutor(connected(place, tell), session, most, parsed.scratch)
    from offload.compute.commands.threads import ThreadExecutor

    here = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return ThreadExecutor(session, most or here, parsed.scratch)


def _write(job: Job, session: Session, progress: Progress) -> bool:
    """Write what a command wrote; False when the reader of our stdout went away."""
    if job.error is not None:
        progress.clear()
        say(f"{job.plan.request.label}: {job.error.message}")
        return True
    for which, sink in ((2, _ERR), (1, _OUT)):
        for chunk in _chunks(job, which, session):
            if not chunk:
                continue
            progress.clear()
            if not sink(chunk) and which == 1:
                return False
    return True


def _chunks(job: Job, which: int, session: Session) -> Iterator[bytes]:
    if job.record is not None:
        record = job.record
        if which == 1:
            return chunks(record.stdout_data, record.stdout, session.store)
        return chunks(record.stderr_data, record.stderr, session.store)
    if job.execution is None:
        return iter(())
    return (job.execution.stdout if which == 1 else job.execution.stderr).chunks()


def _strays(commands: ManyCommands) -> list[str]:
    return list(dict.fromkeys(path for job in commands.jobs for path in job.strays))


def _exit_code(job: Job) -> int:
    if job.error is not None:
        return exit_code_of(job.error)
    return job.execution.exit_code if job.execution is not None else FAILED


def _report(
    parsed: Parsed,
    progress: Progress,
    arguments: list[str],
    failures: list[tuple[int, Job]],
    unrecorded: list[Job],
    strays: list[str],
    place: Place | None,
) -> None:
    if parsed.json:
        report_json(
            {
                "commands": len(arguments),
                **({} if place is None else {"deployment": place.name}),
                **progress.counts,
                "unrecorded": len(unrecorded),
                "strays": strays,
                "seconds": progress.seconds,
                "failures": [
                    {"number": number, "argument": arguments[number - 1], "exit_code": _exit_code(job)}
                    for number, job in failures
                ],
            }
        )
        return
    for number, job in failures[:MOST_FAILURES]:
        say(f"failed ({describe_exit(_exit_code(job))}): {quote([arguments[number - 1]])}")
    if len(failures) > MOST_FAILURES:
        say(f"and {len(failures) - MOST_FAILURES:,} more failed")
    reasons = {job.unrecorded: None for job in unrecorded}
    for reason in list(reasons)[:3]:
        say(f"{sum(job.unrecorded == reason for job in unrecorded):,} not recorded: {reason}")
    if strays and not parsed.quiet:
        say(describe_strays(strays))


def _show(parsed: Parsed, commands: ManyCommands) -> int:
    """Say what would be recalled and what would be run."""
    if parsed.json:
        import json

        entries = [{**described(job.plan), "recalled": job.state == "recalled"} for job in commands.jobs]
        print_line(json.dumps({"commands": entries}))
        return 0
    for job in commands.jobs:
        print_line(f"{'recall ' if job.state == 'recalled' else 'compute'}  {quote(job.plan.request.argv)}")
    return 0


_OUT: Sink = sink_to(1)
_ERR: Sink = sink_to(2)
