"""Whether what a command was identified with is what is here: before it runs on another machine, or later."""

from __future__ import annotations

import os

from offload.commands.planning.detect import is_system, shell_names
from offload.commands.planning.program_software import installed
from offload.commands.planning.programs import own_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.planning.plan import Plan
    from offload.commands.planning.planner import Planner

DIGITS = 12
SYSTEM = "the system's"


class Difference:
    """Something that is not what a command was identified with.

    Parameters
    ----------
    path : str
        What it is.
    expected, here : str
        What was identified, and what is here, in words.
    """

    __slots__ = ("expected", "here", "path")

    def __init__(self, path: str, expected: str, here: str) -> None:
        self.path = path
        self.expected = expected
        self.here = here

    def __str__(self) -> str:
        return f"{self.path}: {self.here} here, {self.expected} where the command was given"


def differences(plan: Plan, planner: Planner, path: str) -> list[Difference]:
    """Return in what a plan that was made elsewhere differs from what it would be here.

    Inputs that are copied are left out: each copy is checked.

    Parameters
    ----------
    plan : Plan
        The plan.
    planner : Planner
        Looks at what is here.
    path : str
        The ``PATH`` that the command will have.
    """
    expected = {program: plan.program_checksums[name] for name, program in plan.programs.items()}
    anything = plan.request.there is not None  # the programs of this machine are meant, whichever these are
    if plan.executable.startswith("/") and not anything:  # what a relative path leads to is copied
        expected[plan.executable] = plan.executable_checksum
    there = planner.present(list(expected))
    found = [
        Difference(program, checksum[:DIGITS], there[program][:DIGITS] if program in there else "nothing")
        for program, checksum in expected.items()
        if there.get(program) != checksum
    ]
    if plan.environment is not None:
        path = plan.environment.variables(path)["PATH"]
    for name in sorted(shell_names(plan.request.argv)) if not anything else ():
        before, now = plan.programs.get(name), own_program(name, path)
        if now is None and before is not None and is_system(before):
            continue  # it is there because it runs a script
        if before != now and before not in {difference.path for difference in found}:
            found.append(Difference(f"the program {name}", before or SYSTEM, now or SYSTEM))
    if not found and not anything and (software := planner.software(plan)) != plan.software:
        found.append(Difference(f"the packages in {_places(plan)}", _short(plan.software), _short(software)))
    for item in plan.in_place():
        if not planner.is_unchanged(item):
            now = "other content" if os.path.exists(item.source) else "nothing"
            found.append(Difference(item.path, item.checksum[:DIGITS], now))
    return found


def _places(plan: Plan) -> str:
    """Return the environments that the programs of a command lie in."""
    programs = [plan.executable, *plan.programs.values()]
    places = {os.path.dirname(os.path.dirname(program)): None for program in programs if installed(program)}
    if plan.environment is not None:
        places[plan.environment.prefix] = None
    return ", ".join(places) or "the environments of its programs"


def _short(checksum: str | None) -> str:
    return "none" if checksum is None else checksum[:DIGITS]
