"""What programs a deployment's workers have: asked once for each name, and remembered in its directory."""

from __future__ import annotations

import json
import os
import time

from offload.commands.planning.fingerprints import fingerprint, take
from offload.commands.planning.programs import CommandNotFoundError, search_path
from offload.commands.request import Asking
from offload.jobs.commands.protocol import Look
from offload.jobs.waits import has_workers
from offload.util.files import write_whole
from offload.util.resources import resources_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from offload.commands.planning.fingerprints import Fingerprint, Table
    from offload.commands.planning.plan import Plan
    from offload.jobs.commands.client import CommandJobs
    from offload.registry.deployments import Place
    from offload.util.resources import Resources

FILE = "programs.json"
"""In the deployment's directory: what its workers have told last, by the resources that these were to have."""

DIGITS = 12


class Workers(Asking):
    """The programs of the workers of a deployment.

    Parameters
    ----------
    place : Place
        The deployment.
    connect : callable
        Gives a client of its job service.
    say : callable
        Tells the user what is not as it should be.
    """

    def __init__(self, place: Place, connect: Callable[[], CommandJobs], say: Callable[[str], None]) -> None:
        self._place = place
        self._connect = connect
        self._say = say
        self._told: set[str] = set()
        self._tables: dict[Resources, list[tuple[str, Table]]] = {}

    def ask(self, plans: Sequence[Plan], recorded: Callable[[str], bool]) -> None:
        """Have the programs that commands find there count for these."""
        for needed in dict.fromkeys(plan.request.resources for plan in plans):
            some = [plan for plan in plans if plan.request.resources == needed]
            tables = self._ask(some, needed)
            if tables:
                for plan in some:
                    self._settle(plan, tables, recorded)
            else:
                self._settle_unasked(some, needed)

    def _ask(self, plans: Sequence[Plan], needed: Resources) -> list[tuple[str, Table]]:
        """Return what each worker that was asked has; nothing where there is none."""
        known = self._tables.setdefault(needed, [])
        programs = {name for plan in plans if plan.sought for name in plan.sought.programs}
        words = {name for plan in plans if plan.sought for name in plan.sought.words}
        if known:
            programs -= known[0][1].keys()
            words -= known[0][1].keys()
        if programs or words or not known:
            with self._connect() as jobs:
                answers = jobs.programs(Look(sorted(programs), sorted(words), search_path(), needed))
            before = dict(known)
            known[:] = [(where, {**before.get(where, {}), **table}) for where, table in answers]
            if known:
                self._remember(needed, known[0][1])
        return known

    def _settle(self, plan: Plan, tables: Sequence[tuple[str, Table]], recorded: Callable[[str], bool]) -> None:
        assert plan.sought is not None
        main = plan.sought.main
        found: dict[str, tuple[Fingerprint, list[str]]] = {}
        without = []
        for where, table in tables:
            if main and main not in table:  # it has come since that was asked
                continue
            one = fingerprint(table, plan.sought)
            if one is None:
                without.append(where)
            else:
                found.setdefault(json.dumps(one, sort_keys=True), (one, []))[1].append(where)
        if not found:
            raise CommandNotFoundError(
                f"command not found: {main}, on the workers of {self._place.name}"
                + ("" if os.path.lexists(main) else " or here"),
                "a --prologue of `offload up` says what to do before workers start",
            )
        if without:
            self._tell(f"{main} is not on {', '.join(without)}, where other workers of {self._place.name} run")
        # What most have goes first, and one that has given a result before all.
        ways = [one for _, (one, _) in sorted(found.items(), key=lambda item: (-len(item[1][1]), item[0]))]
        if len(ways) > 1:
            which = "; ".join(f"{_short(one)} on {', '.join(places)}" for one, places in found.values())
            what = main or plan.request.label
            self._tell(f"{what} is not the same on all workers of {self._place.name}, and counts as either: {which}")
        for one in ways:
            take(plan, one)
            if len(ways) > 1 and recorded(plan.transformation):
                return
        if len(ways) > 1:
            take(plan, ways[0])

    def _settle_unasked(self, plans: Sequence[Plan], needed: Resources) -> None:
        """Let commands that no worker can be asked about be what they were; where workers come, these will know."""
        coming = has_workers(self._place)
        when, table = (0.0, None) if coming else self._remembered(needed)
        for plan in plans:
            assert plan.sought is not None
            known = table is not None and {*plan.sought.programs, *plan.sought.words} <= table.keys()
            found = fingerprint(table, plan.sought) if known and table is not None else None
            take(plan, found)
            what = plan.sought.main or "a program"
            if found is not None:
                moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
                self._tell(
                    f"{self._place.name} has no workers that could tell which {what} is there: it counts as it was at "
                    f"{moment}; --fresh when it has changed since"
                )
            else:
                self._tell(
                    f"no worker of {self._place.name} can be asked yet which {what} is there: the one that gets the "
                    "command finds out, and recalls or runs it"
                )

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)

    # What was told last

    def _remember(self, needed: Resources, table: Table) -> None:
        kept = self._kept()
        before = kept.get(resources_text(needed), {}).get("programs", {})
        kept[resources_text(needed)] = {"time": time.time(), "programs": {**before, **table}}
        write_whole(os.path.join(self._place.path, FILE), json.dumps(kept))

    def _remembered(self, needed: Resources) -> tuple[float, Table | None]:
        kept = self._kept().get(resources_text(needed))
        return (kept["time"], kept["programs"]) if kept else (0.0, None)

    def _kept(self) -> dict[str, dict[str, Any]]:
        try:
            with open(os.path.join(self._place.path, FILE), encoding="utf-8") as file:
                kept: dict[str, dict[str, Any]] = json.load(file)
                return kept
        except (OSError, ValueError):  # nothing was told, or a crash has cut it off
            return {}


def _short(found: Fingerprint) -> str:
    path = next(iter(found["paths"].values()), "")
    return f"{path} ({str(found['checksum'] or 'its script')[:DIGITS]})"


def workers_of(place: Place, say: Callable[[str], None], waits: Callable[[str], None] | None = None) -> Asking:
    """Return who knows the programs of a deployment's workers; `waits` is told what is waited for."""
    from offload.jobs.commands.client import connected

    return Workers(place, lambda: connected(place, waits or say), say)
