"""``offload status``."""

from __future__ import annotations

import os

import click

from offload._version import __version__
from offload.cli.arguments import json_option
from offload.cli.deployments.status_one import look as look_at
from offload.cli.deployments.status_one import tell_problems, write_deployment
from offload.cli.output import print_error
from offload.cli.tables import write_json, write_line
from offload.errors import DiskFullError, NotFoundError, NotWritableError, OffloadError, StorageError, UsageError
from offload.notices import counted
from offload.util.units import size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from offload.registry.deployments import Place

    Part = dict[str, Any]

_COUNTED = (StorageError, NotFoundError, UsageError)  # others do not make the exit code
_ENOUGH = 100_000  # bytes: a few small results and SQLite's logs
_ELSEWHERE = "check its owner and mode, or set OFFLOAD_HOME to another place"

EPILOG = """\b
Examples:
    offload status
    offload status big
    offload status --json | python -m json.tool
"""


@click.command(epilog=EPILOG)
@click.argument("name", required=False)
@json_option
def status(name: str | None, as_json: bool) -> int:
    """Show what offload keeps and where, how a deployment is, and whether all is well.

    With NAME it is about that deployment: its services and workers, what is under way, what waits and why, what was
    restarted. Without, it is about the home, and about the active deployment if there is one.

    Whatever is wrong with a deployment makes the exit code 1; what is damaged in the home makes it 3.
    """
    from offload.storage.home import home_path

    if name is not None:
        return _of_one(name, as_json)

    path = home_path()
    problems: list[OffloadError] = []
    report: Part = {"version": __version__, "home": path, "exists": os.path.exists(os.path.join(path, "FORMAT"))}
    report.update(_place(path, problems))
    # Nothing is made by looking.
    parts = _parts(problems) if report["exists"] or os.path.lexists(path) else _no_parts(problems)
    report.update({name: parts.get(name) for name in ("store", "database", "file_cache")})
    report["deployments"] = _deployments(path) if report["exists"] else []
    active = _active(path, problems) if report["exists"] else None
    report["deployment"] = look_at(active) if active is not None else None
    report["problems"] = [{"message": problem.message, "hint": problem.hint} for problem in problems]
    if as_json:
        write_json(report)
    else:
        _write(report)
    for problem in problems:
        print_error(problem)
    code = tell_problems(report["deployment"]) if report["deployment"] else 0
    return max(code, *(problem.exit_code for problem in problems if isinstance(problem, _COUNTED)), 0)


def _of_one(name: str, as_json: bool) -> int:
    from offload.registry.deployments import Registry
    from offload.storage.home import checked_home

    told = look_at(Registry(checked_home()).get(name))
    if as_json:
        write_json(told)
    else:
        write_deployment(told)
    return tell_problems(told)


def _active(home: str, problems: list[OffloadError]) -> Place | None:
    """Return the active deployment; one that is asked for and not there is a problem."""
    from offload.registry.deployments import Registry

    try:
        return Registry(home).active()
    except OffloadError as error:
        problems.append(error)
        return None


def _place(path: str, problems: list[OffloadError]) -> Part:
    """Return the file system that the home lies on, or would, and the room there is."""
    from offload.util.filesystems import file_system_of, is_network

    while not os.path.exists(path):
        path = os.path.dirname(path)
    kind = file_system_of(path)
    room = os.statvfs(path)
    if room.f_flag & os.ST_RDONLY or not os.access(path, os.W_OK):
        problems.append(NotWritableError(f"{path} cannot be written: no new result can be recorded", _ELSEWHERE))
    elif room.f_bavail * room.f_frsize < _ENOUGH:
        problems.append(
            DiskFullError(f"almost no space is left where {path} lies", "free some, or: offload gc --max-size SIZE")
        )
    return {
        "file_system": kind or None,
        "network": is_network(kind),
        "free": room.f_bavail * room.f_frsize,
        "capacity": room.f_blocks * room.f_frsize,
    }


def _parts(problems: list[OffloadError]) -> Part:
    """Return what the parts of the home hold; a part with a problem is left out."""
    from offload.registry.session import current

    try:
        session = current()
    except StorageError as error:
        problems.append(error)
        return {}
    parts: Part = {}
    looks: dict[str, Callable[[], object]] = {
        "store": lambda: _usage(session.store.usage(), problems, session.home.store),
        "database": session.database.statistics,
        "file_cache": lambda: {"files": session.files.count()},
    }
    for name, look in looks.items():
        try:
            parts[name] = look()
        except StorageError as error:
            problems.append(error)
    return parts


def _no_parts(problems: list[OffloadError]) -> Part:
    """Return nothing, where there is no home; where there could not be one, that is a problem."""
    from offload.storage.home import checked_home

    try:
        checked_home()
    except StorageError as error:
        problems.append(error)
    return {}


def _deployments(home: str) -> list[Part]:
    from offload.registry.deployments import Registry

    registry = Registry(home)
    names = registry.names()
    if not names:
        return []
    from offload.deploy.lifecycle.local import state

    return [{"name": name, "state": state(registry.place(name))} for name in names]


def _usage(usage: Any, problems: list[OffloadError], store: str) -> Part:
    if usage.corrupt:
        problems.append(
            OffloadError(
                f"{counted(usage.corrupt, 'corrupt buffer')} found and set aside in {store}/corrupt",
                "what they held is computed again when needed; check the disk, then remove them",
            )
        )
    return {"buffers": usage.buffers, "bytes": usage.bytes, "corrupt": usage.corrupt}


def _write(report: Part) -> None:
    store, database, cache = (report[name] for name in ("store", "database", "file_cache"))
    kind = report["file_system"] or "unknown"
    network = " (network: one machine at a time)" if report["network"] else ""
    lines = [
        ("version", report["version"]),
        ("home", report["home"] + ("" if report["exists"] else " (not made yet)")),
        ("file system", f"{kind}{network}, {size_text(report['free'])} free of {size_text(report['capacity'])}"),
    ]
    if store is not None:
        lines.append(("store", f"{counted(store['buffers'], 'buffer')}, {size_text(store['bytes'])}"))
    if database is not None:
        results = counted(database["complete"], "result")
        irreproducible = f", {database['irreproducible']:,} irreproducible" if database["irreproducible"] else ""
        lines.append(("database", f"{results}, {counted(database['runs'], 'run')}{irreproducible}"))
    if cache is not None:
        lines.append(("file cache", counted(cache["files"], "file")))
    named = ", ".join(f"{item['name']} ({item['state']})" for item in report["deployments"])
    lines.append(("deployments", named or "none"))
    lines.append(("health", counted(len(report["problems"]), "problem") if report["problems"] else "good"))
    for name, text in lines:
        write_line(f"{name}: {text}")
    if report["deployment"] is not None:
        write_line("")
        write_deployment(report["deployment"])
