"""Checks of a machine that is reached over SSH, and of the way there."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

from offload.deploy.config.link import DIRECT
from offload.deploy.remote.discover import look as look_for_deployments
from offload.deploy.remote.discover import reached
from offload.doctor import cluster, containers, machine, ports
from offload.doctor.options import Options
from offload.doctor.result import Result, failed, passed, warned
from offload.doctor.rpc import ask
from offload.environments.compare import compare, distributions_there
from offload.environments.installed import installed
from offload.environments.probe import look, no_python
from offload.environments.wanted import OWN
from offload.errors import OffloadError, UsageError
from offload.hosts.address import SshAddress
from offload.hosts.ssh import Ssh
from offload.hosts.ssh_errors import UnreachableError
from offload.registry.deployments import Registry

NAMED = (OWN, "dask", "distributed", "cloudpickle", "msgpack")
ALLOWED_SECONDS, WORST_SECONDS = 5.0, 300.0
"""Differences of clocks: leases and logs are off from the first on, certificates may not count from the second."""

SOME_PORT = 8787


def checks(registry: Registry, target: str, asked: Options) -> Iterator[Result]:
    """Check a machine.

    Parameters
    ----------
    registry : Registry
        Of this machine: a connection that is there is shared.
    target : str
        Such as ``ssh://user@host``.
    asked : Options
        What is to be looked at.
    """
    SshAddress.parse(target)
    before = time.monotonic()
    try:
        with reached(registry, target) as site:
            yield passed("SSH", f"connected in {time.monotonic() - before:.2g} s")
            for result in _of_site(site, asked):
                yield dataclasses.replace(result, where=site.name) if result.where == "here" else result
    except OffloadError as exc:
        what = "SSH" if isinstance(exc, UnreachableError | UsageError) else "machine"
        yield dataclasses.replace(failed(what, exc.message, exc.hint), where=target)


def _of_site(site: Ssh, asked: Options) -> Iterator[Result]:
    yield from _of_way(site)
    yield forwarding(site, asked)
    looked = look(site, chosen=asked.python)
    if asked.image:
        yield containers.image(site, asked.image)
    elif looked.python is None:
        error = no_python(site, looked, asked.python, "")
        yield failed("Python", error.message, error.hint)
    else:
        yield passed("Python", f"as here: {looked.python}")
    others = [path for path, version in looked.others if version.startswith("3.")]
    found = looked.python or (others[0] if others else "")
    names, own = look_for_deployments(site, asked.python)
    if own:
        yield software(site, own)
    if not found:
        if asked.system:
            yield from cluster.checks(site, "", "", asked)
        return
    request: dict[str, Any] = {"do": "gather", "home": "", "scratch": asked.scratch}
    before = time.time()
    facts = ask(site, found, {**request, "host": asked.host, "ports": asked.ports})
    yield clock(facts["time"], before, time.time())
    yield from machine.checks(facts, asked.ports)
    yield machine.logout(facts)
    if asked.ports is not None and asked.route == DIRECT:
        yield ports.free_one(site, found, asked.host, asked.ports)
    if asked.system:
        yield from cluster.checks(site, found, facts["home"]["path"], asked)
    said = f"{', '.join(names)}: offload doctor NAME looks at one that is known here" if names else "none there"
    yield passed("deployments", said)


def _of_way(site: Ssh) -> Iterator[Result]:
    settings = site.settings()
    if settings.get("stricthostkeychecking", "ask") in ("no", "false", "off", "accept-new"):
        yield warned(
            "host key",
            f"it is known, but StrictHostKeyChecking is {settings['stricthostkeychecking']}: others would be believed",
            "take that line out of ~/.ssh/config",
        )
    else:
        yield passed("host key", "it is known, and checked")
    jump = settings.get("proxyjump", "none")
    if jump != "none":
        yield passed("jump host", f"through {jump}")
    done = site.run(["true"])
    said = [*done.text.splitlines(), *done.err.decode("utf-8", "replace").splitlines()]
    lines = [line for line in said if line.strip()]
    if lines:
        yield warned(
            "login shell",
            f"its start-up files print text: {lines[0].strip()[:60]}",
            "offload copes; other tools may not: there, print only where the shell is interactive",
        )
    else:
        yield passed("login shell", "it runs commands, and prints nothing of its own")


def forwarding(site: Ssh, asked: Options) -> Result:
    """Whether the server lets tunnels through."""
    try:
        site.check_forwarding(asked.ports[0] if asked.ports is not None else SOME_PORT)
    except UnreachableError as exc:
        if asked.route == DIRECT:
            return warned("tunnel", exc.message, "the direct route does without")
        return failed("tunnel", exc.message, exc.hint)
    return passed("tunnel", "the server lets it through")


def software(site: Ssh, python: str) -> Result:
    """Whether what matters between both sides has the same versions there."""
    try:
        there, _ = distributions_there(site, python)
    except OffloadError as exc:
        return failed("versions", exc.message, exc.hint)
    differing = compare([one for one in installed() if one.key in NAMED], there)
    said = ", ".join(f"{name} {there[name]}" for name in NAMED[:3] if name in there)
    if differing:
        return warned(
            "versions",
            f"{python} differs: {'; '.join(differing.values())}",
            f"offload environment diff {site.name} shows all; offload up brings what is here along",
        )
    return passed("versions", f"{said}, as here ({python})")


def clock(there: float, before: float, after: float) -> Result:
    """Whether the clock there shows what it shows here."""
    difference = 0.0 if before <= there <= after else min(there - before, there - after, key=abs)
    said = f"{abs(difference):.1f} s {'ahead' if difference > 0 else 'behind'}" if difference else "as here"
    hint = "set both by the network: timedatectl set-ntp true"
    if abs(difference) > WORST_SECONDS:
        return failed("clock", f"{said}: certificates may not count", hint)
    return warned("clock", said, hint) if abs(difference) > ALLOWED_SECONDS else passed("clock", said)
