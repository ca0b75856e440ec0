"""``offload run`` of one command line for many arguments."""

from __future__ import annotations

import os
import sys

from offload.cli.output import keep_quiet, print_line, report_json, say
from offload.cli.progress import Progress
from offload.cli.run.lists import Requests, rows_of, unmatched
from offload.cli.run.options import Parsed
from offload.cli.run.request import FAILED, PIPE_CLOSED, described, exit_code_of, have_programs, session_and_place
from offload.commands.planning.stdin import Stdin
from offload.commands.request import quote
from offload.commands.result import chunks
from offload.commands.running.many import ManyCommands
from offload.commands.running.sinks import sink_to
from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from offload.cli.run.joblog import JobLog
    from offload.cli.run.lists import Row
    from offload.commands.request import Request
    from offload.commands.running.executor import CommandExecutor, Job
    from offload.commands.running.sinks import Sink
    from offload.registry.deployments import Place
    from offload.registry.session import Session

MOST_FAILURES = 20


def run_each(parsed: Parsed) -> int:
    """Run or recall a command for each argument, and return the exit code."""
    if parsed.why:
        raise UsageError("--why explains one command", "give it without --each and :::")
    if parsed.trace:
        raise UsageError("--trace follows one command", "give it without --each and :::")
    command, rows = rows_of(parsed)
    if not command:
        raise UsageError("no command to run", "offload run -- COMMAND [ARG...] ::: ARGUMENT...")
    requests: Requests | list[Request] = Requests(parsed, command, rows)
    quiet = parsed.quiet or parsed.json
    tell = keep_quiet if quiet else say
    session, place = session_and_place(parsed)
    if place is not None or parsed.there:
        requests = list(requests)
        have_programs(requests, place, parsed, tell)
    progress = Progress(len(rows), shown=not quiet)
    undo: list[Callable[[], object]] = []
    executor = _executor(parsed, session, place, tell, undo)
    commands = ManyCommands(requests, session, _stdin(parsed, session), executor, parsed.fail_fast, _retries(parsed))
    progress.counts = commands.counts
    if parsed.dry_run:
        return _show(parsed, commands)
    if parsed.detach and place is not None:
        from offload.cli.run.detached import detach

        found = commands.all()
        plans, recorded = [job.plan for job in found], [job.state == "recalled" for job in found]
        return detach(plans, recorded, session, place, parsed.json, tell)
    if not rows:
        tell("the list is empty: there is nothing to run")
        return 0
    pattern = unmatched(rows)
    if pattern is not None and commands.first is not None and commands.first.state != "recalled":
        tell(f"no file here matches {pattern}: it is passed on as it is")
    log = None if parsed.joblog is None else _log_at(parsed.joblog, ":" if place is None else place.name)
    failures: list[tuple[int, int]] = []
    jobs = commands.run(tell, progress.tick)
    try:
        for number, job in enumerate(jobs, 1):
            if job.state == "failed":
                failures.append((number, _exit_code(job)))
            if log is not None and job.state != "cancelled":
                log.write(number, job, _exit_code(job) if job.state == "failed" else 0)
            if not _write(job, session, progress):
                return PIPE_CLOSED
    except KeyboardInterrupt:
        progress.end()
        done = commands.counts["recalled"] + commands.counts["computed"]
        if place is None:
            say(f"interrupted: {done:,} of {len(rows):,} recorded; run it again to go on")
        raise
    finally:
        jobs.close()
        for act in undo:
            act()
        if log is not None:
            log.close()
    progress.end()
    # Results are recorded in batches, the last of them after the last output has been written.
    _report(parsed, progress, rows, failures, commands, place)
    if failures:
        return 1
    return FAILED if commands.unrecorded else 0


def _log_at(path: str, host: str) -> JobLog:
    from offload.cli.run.joblog import JobLog

    return JobLog(path, host)


def _retries(parsed: Parsed) -> int:
    if parsed.retries is None:
        return 0
    if not parsed.retries.isdigit():
        raise UsageError(f"--retries {parsed.retries}: not a number")
    return int(parsed.retries)


def _stdin(parsed: Parsed, session: Session) -> Stdin:
    if parsed.stdin is None or parsed.stdin == "none":
        return Stdin()
    if parsed.stdin == "-":
        raise UsageError("many commands cannot share this standard input", "put it into a file: --stdin PATH")
    from offload.commands.planning.stdin import find
    from offload.commands.running.scratch import Scratch

    return find(parsed.stdin, session.files, Scratch(parsed.scratch), keep_quiet)


def _executor(
    parsed: Parsed, session: Session, place: Place | None, tell: Callable[[str], None], undo: list[Callable[[], object]]
) -> Callable[[], CommandExecutor]:
    """Return what makes the executor of the commands that are not recorded; what is to be done in the end is added."""
    most = None
    if parsed.jobs is not None:
        if not parsed.jobs.isdigit() or int(parsed.jobs) < 1:
            raise UsageError(f"-j {parsed.jobs}: not a number of processes")
        if parsed.detach:
            raise UsageError("-j is for commands that are waited for", "leave it out: the workers take what they can")
        most = int(parsed.jobs)

    def make() -> CommandExecutor:
        from offload.cli.signals import interruptible

        # As long as all is recalled there is nothing to be put in order, and nothing of this to be loaded.
        interruptions = interruptible()
        interruptions.__enter__()
        undo.append(lambda: interruptions.__exit__(None, None, None))
        if place is not None:
            from offload.jobs.commands.client import connected
            from offload.jobs.commands.run_many import DeploymentExecutor

            return DeploymentExecutor(connected(place, tell), session, most, parsed.scratch)
        from offload.commands.running.local import HereExecutor

        here = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        return HereExecutor(session, most or here, parsed.scratch)

    return make


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


def _exit_code(job: Job) -> int:
    if job.error is not None:
        return exit_code_of(job.error)
    return job.execution.exit_code if job.execution is not None else FAILED


def _report(
    parsed: Parsed,
    progress: Progress,
    rows: Sequence[Row],
    failures: list[tuple[int, int]],
    commands: ManyCommands,
    place: Place | None,
) -> None:
    if parsed.json:
        report_json(
            {
                "commands": len(rows),
                **({} if place is None else {"deployment": place.name}),
                **progress.counts,
                "unrecorded": sum(commands.unrecorded.values()),
                "strays": commands.strays,
                "seconds": progress.seconds,
                "failures": [
                    {"number": number, "argument": " ".join(rows[number - 1]), "exit_code": code}
                    for number, code in failures
                ],
            }
        )
        return
    if failures or commands.strays:
        from offload.cli.run.one import describe_exit, describe_strays
    for number, code in failures[:MOST_FAILURES]:
        say(f"failed ({describe_exit(code, parsed.timeout is not None)}): {quote(rows[number - 1])}")
    if len(failures) > MOST_FAILURES:
        say(f"and {len(failures) - MOST_FAILURES:,} more failed")
    for reason, count in list(commands.unrecorded.items())[:3]:
        say(f"{count:,} not recorded: {reason}")
    if commands.strays and not parsed.quiet:
        say(describe_strays(commands.strays))


def _show(parsed: Parsed, commands: ManyCommands) -> int:
    """Say what would be recalled and what would be run."""
    if parsed.json:
        import json

        entries = [{**described(job.plan), "recalled": job.state == "recalled"} for job in commands.all()]
        print_line(json.dumps({"commands": entries}))
        return 0
    for job in commands.all():
        print_line(f"{'recall ' if job.state == 'recalled' else 'compute'}  {quote(job.plan.request.argv)}")
    return 0


_OUT: Sink = sink_to(1)
_ERR: Sink = sink_to(2)
