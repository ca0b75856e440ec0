"""``offload up --dry-run``: what would be started, and the scripts that would be submitted."""

from __future__ import annotations

import dataclasses

from offload.cli.tables import write_json, write_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.deploy.config.resolve import Resolved
    from offload.registry.deployments import Registry

HOME_THERE = "$HOME/.local/share/offload"


def show(resolved: Resolved, registry: Registry, as_json: bool) -> None:
    """Show what a deployment is to be, who has chosen what of it, and each batch script."""
    from offload.deploy.config.resolve import spec_there
    from offload.deploy.workers.allocation_requests import scripts
    from offload.registry.deployments import Registry

    spec = resolved.spec
    values: dict[str, Any] = dataclasses.asdict(spec)
    place = registry.place(spec.name)
    if spec.link is not None:
        from offload.deploy.remote.up import described

        values = {"name": spec.name, **described(spec.link)}
        spec, place = spec_there(spec.name, spec.link), Registry(HOME_THERE).place(spec.name)
    found = scripts(place, spec)
    if as_json:
        report = {**values, "sources": {key: resolved.source(key) for key in values}}
        write_json({**report, "scripts": found} if found else report)
        return
    for key, value in values.items():
        write_line(f"{key.replace('_', ' ')}: {'none' if value is None else value}  ({resolved.source(key)})")
    for what, script in found.items():
        write_line(f"\n# the script for {what}:\n{script.rstrip()}")
