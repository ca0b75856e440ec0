"""What ``offload status`` shows of one deployment."""

from __future__ import annotations

import time

from offload.cli.output import print_error
from offload.cli.slow import told_when_slow
from offload.cli.tables import write_line, write_table
from offload.errors import OffloadError
from offload.notices import counted
from offload.util.durations import duration
from offload.util.units import moment_text, size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.registry.deployments import Place

    Part = dict[str, Any]

LABELS = 5
WRONG = 1


def look(place: Place) -> Part:
    """Return all that is to be shown of a deployment."""
    from offload.deploy.status import report, storage

    with told_when_slow(lambda: _waited_for(place)):
        told = report(place)
        try:
            told["kept"] = storage(place, told["state"])
        except OffloadError as error:
            told["kept"] = None
            told["problems"].append({"message": error.message, "hint": error.hint})
    return told


def _waited_for(place: Place) -> str:
    """Return what takes long, as far as it is known."""
    from offload.deploy.config.link import TUNNEL
    from offload.deploy.lifecycle import common
    from offload.deploy.lifecycle import local as launch

    contact, link = common.known(place), common.link_of(place)
    through = f", through {link.site}" if link is not None and link.site is not None and link.route == TUNNEL else ""
    where = f" at {contact.head['url']}{through}" if contact is not None and contact.head.get("url") else ""
    return f"waiting for an answer from the head of {place.name}{where}, up to {launch.STATUS_SECONDS:.0f} s"


def write_deployment(told: Part) -> None:
    """Write it for people."""
    lines = [("deployment", told["name"]), ("state", _state(told))]
    if told["dashboard"] and told["scheduler"]:
        lines.append(("dashboard", f"offload dashboard {told['name']}"))
    if told["kept"] is not None:
        store, database = told["kept"]["store"], told["kept"]["database"]
        lines.append(("store", f"{store['path']}: {counted(store['buffers'], 'buffer')}, {size_text(store['bytes'])}"))
        lines.append(("database", f"{database['path']}: {counted(database['results'], 'result')}"))
    if told["jobs"] is not None:
        lines.append(("under way", _under_way(told["jobs"])))
    if told["worker_jobs"] is not None:
        from offload.deploy.allocation_counts import in_words

        lines.append(("worker jobs", in_words(told["worker_jobs"])))
    lines += [("group", _group(group)) for group in told.get("groups", ())]
    lines += [("waits", text) for text in told["waits"]]
    lines.append(("health", counted(len(told["problems"]), "problem") if told["problems"] else "good"))
    for title, text in lines:
        write_line(f"{title}: {text}")
    if told["state"] != "running":
        return
    write_line("")
    write_table(("SERVICE", "STATE", "PID", "RESTARTS", "SINCE", "ADDRESS"), [_service(s) for s in told["services"]])
    if told["workers"]:
        write_line("")
        header = ("WORKER", "STATE", "PID", "RESTARTS", "THREADS", "RUNS", "MEMORY", "ADDRESS OR LAST WORDS")
        write_table(header, [_worker(worker) for worker in told["workers"]])


def tell_problems(told: Part) -> int:
    """Write what is wrong to stderr, and return the exit code."""
    for problem in told["problems"]:
        print_error(OffloadError(problem["message"], problem["hint"]))
    return WRONG if told["problems"] else 0


def _state(told: Part) -> str:
    if not told.get("since"):
        return str(told["state"])
    age = duration(max(0.0, time.time() - told["since"]))
    return f"{told['state']}, for {age}{'' if told.get('groups') else _limits(told.get('adaptive'), ' workers')}"


def _limits(follows: dict[str, int] | None, of: str = "") -> str:
    return f", {follows['minimum']} to {follows['maximum']}{of} as the work asks for" if follows else ""


def _group(group: Part) -> str:
    """Return what is to be said of a group of workers."""
    has = f", each {group['resources']}" if group["resources"] else ""
    limits = _limits(group["adaptive"])
    return f"{group['name']}: {counted(group['workers'], 'worker')} by {group['provider']}{has}{limits}"


def _under_way(jobs: Part) -> str:
    """Return what is under way in words, by label."""
    parts = []
    calls = sorted(jobs["calls"].items(), key=lambda item: -item[1])
    if calls:
        shown = ", ".join(f"{label} {count:,}" for label, count in calls[:LABELS])
        parts.append(f"{counted(sum(count for _, count in calls), 'call')} ({shown}{', ...' * (len(calls) > LABELS)})")
    commands = jobs["commands"]
    if sum(commands.values()):
        states = ", ".join(f"{count:,} {state}" for state, count in commands.items() if count)
        parts.append(f"{counted(sum(commands.values()), 'command')} ({states})")
    return "; ".join(parts) or "nothing"


def _service(service: Part) -> tuple[str, ...]:
    since = moment_text(service["since"]) if service["since"] else ""
    restarts = "" if service["restarts"] is None else str(service["restarts"])
    return (service["name"], service["state"], str(service["pid"] or ""), restarts, since, service["address"] or "")


def _worker(worker: Part) -> tuple[str, ...]:
    memory = ""
    if worker["memory"] is not None:
        memory = size_text(worker["memory"])
        if worker["memory_limit"]:
            memory += f" of {size_text(worker['memory_limit'])}"
    on = f" on {worker['node']}" if worker["node"] else ""
    return (
        worker["name"],
        "paused" if worker["paused"] and worker["state"] == "connected" else worker["state"],
        str(worker["pid"] or (f"job {worker['job']}" if worker["job"] else "")) + on,
        str(worker["restarts"]),
        "" if worker["threads"] is None else str(worker["threads"]),
        "" if worker["executing"] is None else str(worker["executing"]),
        memory,
        worker["address"] or worker["says"] or "",
    )
