"""``offload verify``."""

from __future__ import annotations

import os
import time

import click

from offload.cli.arguments import complete_transformation, find_transformation, json_option
from offload.cli.filters import Filters, filter_options
from offload.cli.output import say
from offload.cli.tables import one_line, write_json, write_line
from offload.errors import NotFoundError, UsageError
from offload.notices import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from offload.registry.session import Session
    from offload.verify.verdicts import Verdict

EVERY = 10.0
ALONE = 3  # so many with the same reason are listed one by one
INTERRUPTED = 130

EPILOG = """\b
Examples:
    offload verify --sample 20
    offload verify --command 'sort *' --since 7d
    offload verify --function 'analysis:*' --json
    offload verify 3fb2c9d01a2e

Exit codes: 0 nothing differs, 1 something does, 130 interrupted.
"""


@click.command(epilog=EPILOG)
@click.argument("checksums", nargs=-1, metavar="[CHECKSUM]...", shell_complete=complete_transformation)
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only so many of them, chosen at random.")
@filter_options
@json_option
def verify(checksums: tuple[str, ...], sample: int | None, as_json: bool, **given: str | None) -> int:
    """Run recorded work again, and list what gives another result now.

    Without CHECKSUMs of transformations, all that is recorded and fits the filters. Nothing is overwritten: the
    recorded results stay, no output is brought back, and no run is added to the history.

    A command needs its inputs as they were, where they lay or in the store, and the same program. A call needs its
    function and arguments, which are kept when they are small (1 MiB and 4 KiB) or are results of other calls, and
    the same interpreter and libraries. It runs in a process of its own; calls within it are computed again as well.
    What cannot be run again is listed with the reason, once for all that have the same.
    """
    from offload.cli.signals import interruptible
    from offload.registry.session import current
    from offload.verify.selection import sample as chosen

    session = current()
    filters = Filters(given, time.time())
    if checksums and filters:
        raise UsageError("CHECKSUMs name what to verify, so there is nothing to filter", "give either")
    if checksums:
        found = list(dict.fromkeys(find_transformation(session, text).checksum for text in checksums))
    else:
        found = filters.recorded(session)
        if not found:
            raise NotFoundError("no recorded result matches", "offload history lists the runs")
    done: list[Verdict] = []
    stopped = False
    try:
        with interruptible():
            for verdict in _verdicts(session, chosen(found, sample), as_json):
                done.append(verdict)
    except KeyboardInterrupt:
        stopped = True
    _report(done, as_json, stopped)
    if stopped:
        return INTERRUPTED
    return 1 if any(verdict.outcome == "different" for verdict in done) else 0


def _verdicts(session: Session, found: Sequence[str], as_json: bool) -> Iterator[Verdict]:
    """Run all again, and tell how far that has come."""
    import tempfile

    from offload.verify.calls import Callers
    from offload.verify.commands import Rerunner
    from offload.verify.verdicts import DIFFERENT, NOT_RUN, Verdict

    rerunner = Rerunner()
    told = 0.0 if os.isatty(2) else time.monotonic()
    counts = {DIFFERENT: 0, NOT_RUN: 0}
    terminal = os.isatty(2)
    with tempfile.TemporaryDirectory(prefix="offload-verify-", ignore_cleanup_errors=True) as aside:
        callers = Callers(aside)
        try:
            for number, checksum in enumerate(found):
                transformation = session.database.transformation(checksum)
                assert transformation is not None
                now = time.monotonic()
                if now - told > (0.1 if terminal else EVERY):
                    told = now
                    so_far = f"{counts[DIFFERENT]:,} different, {counts[NOT_RUN]:,} not run"
                    _tell(
                        f"{number + 1:,} of {len(found):,} ({so_far}): {one_line(transformation.label)[:50]}", terminal
                    )
                verdict: Verdict
                if transformation.kind == "command":
                    verdict = rerunner.verify(session, transformation)
                elif transformation.kind == "python":
                    verdict = callers.verify(session, transformation)
                else:
                    verdict = Verdict(transformation, NOT_RUN, ["another program recorded it"])
                counts[verdict.outcome] = counts.get(verdict.outcome, 0) + 1
                yield verdict
        finally:
            rerunner.close()
            callers.close()
            if terminal:
                _tell("", terminal)


def _tell(text: str, terminal: bool) -> None:
    if terminal:
        os.write(2, f"\r\x1b[2K{text}".encode())
    else:
        say(text)


def _report(done: Sequence[Verdict], as_json: bool, stopped: bool) -> None:
    from offload.verify.verdicts import DIFFERENT, NOT_RUN, SAME

    groups = {outcome: [v for v in done if v.outcome == outcome] for outcome in (SAME, DIFFERENT, NOT_RUN)}
    if as_json:
        write_json(
            {
                "verified": len(groups[SAME]) + len(groups[DIFFERENT]),
                "same": len(groups[SAME]),
                "different": [verdict.as_dict() for verdict in groups[DIFFERENT]],
                "not_run": [verdict.as_dict() for verdict in groups[NOT_RUN]],
                "interrupted": stopped,
            }
        )
        return
    for outcome in (DIFFERENT, NOT_RUN):
        _list(outcome, groups[outcome])
    parts = [f"{len(groups[SAME]):,} the same", f"{len(groups[DIFFERENT]):,} different"]
    if groups[NOT_RUN]:
        parts.append(f"{len(groups[NOT_RUN]):,} not run")
    write_line(f"{counted(len(done), 'result')} looked at: {', '.join(parts)}" + ("; interrupted" if stopped else ""))


def _list(outcome: str, verdicts: Sequence[Verdict]) -> None:
    """Write what came of each; where many have the same reasons, these once, with some of those that have them."""
    alike: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in verdicts:
        alike.setdefault(tuple(verdict.reasons), []).append(verdict)
    for reasons, some in alike.items():
        found = [verdict.transformation for verdict in some]
        named = [f"{one.checksum[:12]}  {one_line(one.label)}" for one in found]
        if len(some) <= ALONE:
            for name in named:
                write_line(f"{outcome}: {name}")
                for reason in reasons:
                    write_line(f"    {one_line(reason)}")
            continue
        write_line(f"{outcome}: {counted(len(some), 'result')}")
        for reason in reasons:
            write_line(f"    {one_line(reason)}")
        for name in named[:ALONE]:
            write_line(f"    {name}")
        write_line(f"    and {len(some) - ALONE:,} more (--json names all)")
