"""What ``offload run --dry-run`` and ``--why`` say."""

from __future__ import annotations

import time

from offload.cli.output import print_line, report_json, say
from offload.commands.request import quote
from offload.commands.why import describe
from offload.commands.why import explain as reasons
from offload.identity.commands import ENVIRONMENT
from offload.notices import counted
from offload.records.usage import used_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.cli.run.options import Parsed
    from offload.commands.planning.plan import Plan
    from offload.registry.session import Session


def explain(plan: Plan, session: Session, parsed: Parsed) -> None:
    """Write what is known of a command: on stdout for a dry run, else on stderr, beside the command's own output."""
    why = reasons(plan, session)
    if parsed.dry_run:
        report = {**_plan_report(plan), **why}
        if parsed.json:
            import json

            print_line(json.dumps(report))
        else:
            for line in [*_plan_lines(plan), *why_lines(why, parsed.why)]:
                print_line(line)
    elif parsed.json:
        report_json(why)
    else:
        for line in why_lines(why, True):
            say(line)


def why_lines(why: dict[str, object], whole: bool) -> list[str]:
    """Return an explanation as lines of text.

    Parameters
    ----------
    why : dict
        From :func:`offload.commands.why.explain`.
    whole : bool
        Whether to list the differences.
    """
    lines = [f"{'would be recalled' if why['recalled'] else 'would be computed'}: {why['reason']}"]
    used, nearest, differences = why.get("used"), why.get("nearest"), why.get("differences")
    if whole and isinstance(used, dict) and (text := used_text(used)):
        lines.append(text)
    if whole and isinstance(nearest, dict) and isinstance(differences, list):
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(nearest["time"]))
        lines.append(f"the nearest is {nearest['transformation'][:12]} of {moment}: {nearest['command']}")
        lines.extend(describe(difference) for difference in differences)
    return lines


def _plan_lines(plan: Plan) -> list[str]:
    request = plan.request
    rows = [("command", quote(request.argv)), ("program", f"{plan.executable}  {plan.executable_checksum[:12]}")]
    rows += [("program", f"{path}  {plan.program_checksums[name][:12]}") for name, path in plan.programs.items()]
    if plan.software is not None:
        rows.append(("software", f"{plan.software[:12]}  what is installed beside the program"))
    for item in plan.inputs:
        size = counted(item.size, "byte") + (f" in {counted(len(item.tree.paths()), 'file')}" if item.tree else "")
        place = ", read in place" if item.in_place else ""
        bit = ", executable" if item.executable else ""
        rows.append(("input", f"{item.path}  {item.checksum[:12]}  {item.kind}, {size}, {item.how}{bit}{place}"))
    identity = plan.stdin.identity
    rows.append(("stdin", "none" if identity is None else identity if plan.stdin.is_open else identity[:12]))
    rows.extend(("output", path) for path in request.output_paths)
    rows.extend(("variable", f"{name}={value}") for name, value in sorted(request.variables.items()))
    constants = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    rows.append(
        ("environment", f"{constants}; HOME and TMPDIR in the scratch directory; PATH as here (does not count)")
    )
    rows.append(("scratch", f"{_scratch(plan)}/offload-..."))
    rows.append(("transformation", plan.transformation))
    return [f"{name:<14}  {text}" for name, text in rows]


def _plan_report(plan: Plan) -> dict[str, object]:
    return {
        "executable": plan.executable,
        "executable_checksum": plan.executable_checksum,
        "programs": plan.program_checksums,
        "software": plan.software,
        "inputs": [{**item.record(), "size": item.size, "how": item.how} for item in plan.inputs],
        "stdin": plan.stdin.identity,
        "outputs": plan.request.output_paths,
        "variables": plan.request.variables,
        "environment": ENVIRONMENT,
        "scratch": _scratch(plan),
    }


def _scratch(plan: Plan) -> str:
    from offload.commands.running.scratch import Scratch

    return Scratch(plan.request.scratch).parent
