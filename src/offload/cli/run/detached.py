"""``offload run --detach``: jobs that nobody waits for."""

from __future__ import annotations

from offload.cli.output import print_line
from offload.cli.run.request import described
from offload.commands.running.one import check_before
from offload.jobs.commands.client import connected
from offload.jobs.commands.inputs import complete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from offload.commands.planning.plan import Plan
    from offload.registry.deployments import Place
    from offload.registry.session import Session


def detach(
    plans: Sequence[Plan],
    recorded: Sequence[bool],
    session: Session,
    place: Place,
    as_json: bool,
    tell: Callable[[str], None],
) -> int:
    """Give commands to a deployment, and write the numbers of their jobs, in order; 0 stands for a recorded one.

    Parameters
    ----------
    plans : sequence of Plan
        The commands.
    recorded : sequence of bool
        Which of them need not run.
    session : Session
        Its store takes the inputs: they may change before the jobs begin.
    place : Place
        The deployment.
    as_json : bool
        Whether to write a line of JSON for each command instead.
    tell : callable
        Tells the user what goes on.
    """
    unique = {plan.transformation: plan for plan, known in zip(plans, recorded, strict=True) if not known}
    missing = list(unique.values())
    numbers: dict[str, int] = {}
    if missing:
        check_before(missing, session, tell)
        with connected(place, tell) as jobs:
            complete(missing, jobs.store(session), with_inputs=True)
            tickets = jobs.submit(missing, detach=True)
        numbers = {plan.transformation: ticket.job for plan, ticket in zip(missing, tickets, strict=True)}
    for plan in plans:
        number = numbers.get(plan.transformation, 0)
        if as_json:
            import json

            report = {**described(plan), "deployment": place.name, "job": number or None, "recorded": not number}
            print_line(json.dumps(report))
        else:
            print_line(str(number))
    if not all(numbers.get(plan.transformation) for plan in plans):
        tell("0 stands for a command whose result is recorded: offload run gives it")
    return 0
