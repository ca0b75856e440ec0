"""``offload up`` and ``offload down``."""

from __future__ import annotations

import os
import sys
import time

import click

from offload.cli.arguments import json_option
from offload.cli.deployments.up_options import chosen, job_options
from offload.cli.output import keep_quiet, print_error, say
from offload.cli.tables import write_json, write_line
from offload.errors import OffloadError, UsageError
from offload.util.durations import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.deploy.config.spec import Spec
    from offload.deploy.lifecycle.foreground import Foreground
    from offload.registry.contact import Contact
    from offload.registry.deployments import Place, Registry

OTHERS_SECONDS, POLL = 30.0, 0.1
AT_ONCE = 8
"""So many deployments are brought down at the same time."""

UP_EPILOG = """\b
Examples:
    offload up
    offload up --name big --workers 16 --memory-limit 4GB
    offload up --minimum 0 --maximum 16
    offload up --ports 60001-60100
    offload up --foreground --idle 2h
    offload up ssh://me@server
    offload up ssh://me@server --route direct --ports 60001-61000 --workers 16
    offload up ssh://me@server --environment container:analysis:2 --mount /data
    offload up slurm://me@login --cores 24 --memory 54GB --walltime 2h --minimum 0 --maximum 30
    offload up tls://10.0.0.5:8786 --tls-ca ca.pem --tls-cert me.pem --tls-key me.key
    eval "$(offload env)" && python plain_dask_script.py
    offload down
"""

DOWN_EPILOG = """\b
Examples:
    offload down
    offload down big
    offload down --all
    offload down ssh://me@server big
"""


@click.command(epilog=UP_EPILOG)
@click.argument("target", default="local", metavar="[TARGET]")
@click.option("--name", metavar="NAME", help="What to call the deployment. Default: local.")
@click.option("--workers", type=int, metavar="N", help="Worker processes. Default: one for each core.")
@click.option("--minimum", type=int, metavar="A", help="At least so many workers; more come with the work.")
@click.option("--maximum", type=int, metavar="B", help="At most so many workers. Default with --minimum: the cores.")
@click.option("--threads", type=int, metavar="N", help="Threads of each worker. Default: 1.")
@click.option("--memory-limit", metavar="SIZE", help="Of each worker: 4GB, auto, or 0 for none. Default: auto.")
@click.option("--resources", metavar="TEXT", help="Of each worker, for calls that ask for it: GPU=1.")
@click.option("--no-nanny", is_flag=True, help="Run workers without a nanny that starts them again.")
@click.option("--port", type=int, metavar="PORT", help="Of the scheduler. Default: 8786 where it is free.")
@click.option("--ports", metavar="A-B", help="Take every listening port from this range: 4, and 2 for each worker.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on. Default: 127.0.0.1.")
@click.option("--interface", metavar="NAME", help="Listen on the address of this network interface.")
@click.option("--contact", "advertise", metavar="ADDRESS", help="Under which others reach it. Default: that of --host.")
@click.option("--workers-host", metavar="ADDRESS", help="Under which workers reach it, if on another network.")
@click.option("--route", metavar="ROUTE", help="For ssh://: tunnel, or direct. Default: tunnel.")
@click.option("--local-ports", metavar="A-B", help="For a tunnel: the 4 ports of this machine that lead there.")
@click.option("--environment", metavar="ENV", help="container:IMAGE; for ssh://: sync, check, conda:NAME, python:PATH.")
@click.option("--mount", "mounts", multiple=True, metavar="DIR", help="With an image: seen in its container, too.")
@click.option("--scratch", metavar="DIR", help="Where workers keep temporary files.")
@click.option("--buffers", metavar="DIR", help="Where the store keeps buffers. Default: OFFLOAD_BUFFERS, or the home.")
@click.option("--database", metavar="FILE", help="The database. Default: OFFLOAD_DATABASE, or the home's.")
@click.option("--also", metavar="NAMES", help="Deployments whose recorded results are recalled, too: a,b.")
@click.option("--storage-only", is_flag=True, help="Only the storage service: no scheduler, no workers.")
@click.option("--idle", metavar="TIME", help="End when nothing was under way for so long: 30s, 10m, 2h.")
@click.option("--interactive", is_flag=True, help="Then open a Python prompt with `deployment` and `client`.")
@click.option("--foreground", is_flag=True, help="Stay here until Ctrl-C or SIGTERM, and bring it down then.")
@click.option("--tls-ca", metavar="FILE", help="For tls://: the authority. Default: Dask's configuration.")
@click.option("--tls-cert", metavar="FILE", help="For tls://: this side's certificate. Default: Dask's configuration.")
@click.option("--tls-key", metavar="FILE", help="For tls://: its key. Default: Dask's configuration.")
@click.option("--i-know", is_flag=True, help="For tcp://: on any address. Everybody who can reach it can use it.")
@click.option("--env-file", metavar="FILE", help="Keep what `offload env` says in this file, as long as it is up.")
@job_options
@click.option("--dry-run", is_flag=True, help="Only show what would be started.")
@json_option
def up(
    target: str,
    name: str | None,
    dry_run: bool,
    foreground: bool,
    interactive: bool,
    as_json: bool,
    no_nanny: bool,
    env_file: str | None,
    **choices: object,
) -> int:
    """Bring up a Dask deployment: a scheduler, workers, the dashboard, and storage beside them.

    TARGET is `local`; or ssh://USER@HOST, another machine, which your `ssh` reaches; or slurm://USER@LOGIN, a cluster
    (slurm:// on its login node; also sge, pbs, lsf, oar, htcondor, moab); or the address of a Dask scheduler
    that someone else started (tls://HOST:PORT, tcp://HOST:PORT), which gets a job service and storage; or the name of a
    table [deployment.NAME] in `offload.toml`, here or above, or in `~/.config/offload/config.toml`, or of a deployment
    that has ended.

    Run again, it says that the deployment is up, and in what it differs from what was asked for. All of it listens on
    loopback unless you say otherwise, with mutual TLS by certificates that only you can read. Another machine gets a
    software environment like the one here, and one SSH connection carries everything.
    """
    from offload.deploy.config.resolve import resolve
    from offload.deploy.config.spec import spec_of
    from offload.deploy.lifecycle.local import up as bring_up
    from offload.registry.deployments import Registry
    from offload.storage.home import checked_home

    if interactive and (foreground or as_json or choices["storage_only"]):
        raise UsageError("--interactive goes with neither --foreground, --json nor --storage-only")
    registry = Registry(checked_home())
    options = chosen(choices)
    resolved = resolve(registry, target, name, options | ({"nanny": False} if no_nanny else {}))
    spec = resolved.spec
    for refusal in resolved.refused:
        print_error(refusal)
    if dry_run:
        from offload.cli.deployments.dryrun import show

        show(resolved, registry, as_json)
        return 0
    scheduler = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if scheduler and spec.scheduler is None and not as_json:
        say(f"DASK_SCHEDULER_ADDRESS is for plain Dask; to use that scheduler: offload up {scheduler}")
    for path in resolved.files() if not as_json else []:
        say(f"{spec.name} is to be as {path} says")
    from offload.deploy.lifecycle.foreground import Foreground
    from offload.util.processes import start_detached

    began = time.monotonic()
    attached = Foreground() if foreground else None
    start = attached.start if attached is not None else start_detached
    try:
        contact, started = bring_up(registry, spec, keep_quiet if as_json else say, start)
    except BaseException:
        if attached is not None:
            attached.end()
        raise
    seconds = time.monotonic() - began
    place = registry.place(spec.name)
    if env_file is not None:
        from offload.deploy import envfile

        envfile.begin(place, contact, os.path.abspath(env_file))
    differences = [] if started else resolved.differences(spec_of(registry.place(spec.name)))
    if as_json:
        report = {"name": spec.name, "started": started, "seconds": seconds, **vars(contact)}
        write_json(report if started else {**report, "differs": [what for what, _, _ in differences]})
    else:
        coming = "; its workers are starting" if _has_workers(spec) else ""
        say(f"{spec.name} is up, after {duration(seconds)}{coming}" if started else f"{spec.name} is up already")
        _tell_rounded(spec)
        _show(registry.place(spec.name), contact, spec)
        if spec.scheduler is None and spec.link is None and {"ports", "host", "advertise"} & set(resolved.sources):
            from offload.cli.deployments.join import show_invitation

            show_invitation(place, contact, anew=started)
    if differences:
        return _tell_differences(spec.name, differences)
    if interactive:
        from offload.cli.deployments.interactive import prompt

        prompt(spec.name)
    if attached is None:
        return 0
    if not started:
        raise OffloadError(f"{spec.name} runs in the background", f"end it first: offload down {spec.name}")
    return _stay(registry, spec.name, attached)


def _has_workers(spec: Spec) -> bool:
    """Tell whether workers are started with a deployment, wherever it is."""
    from offload.deploy.config.resolve import spec_there

    there = spec if spec.link is None else spec_there(spec.name, spec.link)
    return there.scheduler is None and not there.storage_only and bool(there.least())


def _tell_rounded(spec: Spec) -> None:
    """Say which numbers of workers are more than was asked for, as whole allocations come and go."""
    from offload.deploy.config.resolve import spec_there

    there = spec if spec.link is None else spec_there(spec.name, spec.link)
    for name in there.group_names():
        group = there.group(name)
        nodes, most = group.job.get("nodes", 1), group.most()
        if most % nodes:
            say(f"each job has {nodes} nodes with a worker each: {most} are rounded up to {-(-most // nodes) * nodes}")


def _stay(registry: Registry, name: str, attached: Foreground) -> int:
    """Wait for the end of a deployment that this process holds, and remove what is left of it."""
    from offload.deploy.lifecycle.local import down as bring_down
    from offload.deploy.lifecycle.local import state

    sys.stdout.flush()
    attached.wait()
    place = registry.place(name)
    how = state(place)
    if how.startswith("ended"):
        say(f"{name} has {how}")
        return 0
    deadline = time.monotonic() + OTHERS_SECONDS
    while not attached.told and how != "dead" and time.monotonic() < deadline:
        # Another process has begun to bring it down, and is about to remove its files.
        if not os.path.exists(place.spec):
            say(f"{name} was brought down")
            return 0
        time.sleep(POLL)
    bring_down(registry, place, keep_quiet)
    if how == "dead":
        raise OffloadError(f"the head of {name} has died; what was left of {name} has been ended")
    say(f"{name} is down")
    return 0


def _tell_differences(name: str, differences: list[tuple[str, Any, Any]]) -> int:
    """Say in what a deployment that is up is not what was asked for; return the exit code."""
    scaling = {"workers": "N", "count": "N", "minimum": "A-B", "maximum": "A-B"}
    commands = set()
    for what, has, asked in differences:
        say(f"{what.replace('_', ' ')}: it has {'none' if has is None else has}, not {asked}")
        *within, key = what.split(".")
        group = f" --group {within[1]}" if within[:1] == ["groups"] and len(within) == 2 else ""
        change = f"offload scale {name} {scaling[key]}{group}" if key in scaling else ""
        commands.add(change or f"offload down {name}, then offload up again")
    say(f"to change that: {'; '.join(sorted(commands))}")
    return 1


def _show(place: Place, contact: Contact, spec: Spec) -> None:
    name, lines = place.name, [("storage", contact.storage or "none")]
    if contact.scheduler is not None:
        own = [] if spec.scheduler is not None else [("dashboard", f"offload dashboard {name}")]
        from offload.http.listen import is_loopback

        if own and spec.link is None and not is_loopback(contact.scheduler.partition("://")[2].rpartition(":")[0]):
            copied = f"--credentials DIR, a copy of {place.keys}"
            own += [("workers", f"elsewhere: offload worker --contact {contact.head['url']} {copied}")]
        plain = f'eval "$(offload env {name})", then dask.distributed.Client(); or offload.client("{name}")'
        lines = [
            ("scheduler", contact.scheduler),
            ("jobs", contact.jobs or "none"),
            *lines,
            *own,
            ("use it", f"offload use {name}, or offload run --on {name} -- COMMAND"),
            ("plain Dask", plain),
        ]
    lines += [("see", f"offload status {name}, offload logs {name}"), ("end it", f"offload down {name}")]
    for title, text in lines:
        write_line(f"{title + ':':<11} {text}")


@click.command(epilog=DOWN_EPILOG)
@click.argument("name", required=False, metavar="[NAME|TARGET")
@click.argument("there", required=False, metavar="[NAME]]")
@click.option("--all", "everything", is_flag=True, help="All deployments.")
@click.option("--python", default="", metavar="PATH", help="For ssh://: the Python there that has offload.")
def down(name: str | None, there: str | None, everything: bool, python: str) -> int:
    """Bring a deployment down: every process of it ends. What was recorded stays.

    With ssh://USER@HOST, one that was found there by `offload list ssh://USER@HOST`, whoever has started it.
    """
    from offload.deploy.config.resolve_remote import is_site
    from offload.deploy.lifecycle.local import down as bring_down
    from offload.registry.deployments import Registry
    from offload.storage.home import Home

    registry = Registry(Home().path)
    if name is not None and is_site(name):
        return _down_elsewhere(registry, name, there, everything, python)
    if there is not None:
        raise UsageError(f"{name!r} is no machine", "write it as ssh://user@host")
    if everything and name:
        raise UsageError("give a name or --all, not both")
    if everything:
        return _down_all(registry)
    if name is not None and name not in registry.names():
        return _down_already(registry, name)
    place = registry.only(name)
    bring_down(registry, place, say)
    say(f"{place.name} is down")
    return 0


def _down_already(registry: Registry, name: str) -> int:
    """Say that there is nothing to bring down; what an `offload up` that has failed has left is removed."""
    from offload.deploy.lifecycle.local import down as bring_down

    if os.path.isdir(registry.place(name).path):
        bring_down(registry, registry.place(name), keep_quiet)
    others = ", ".join(registry.names())
    say(f"{name} is down already: there is no deployment of this name{f'; there are: {others}' if others else ''}")
    return 0


def _down_all(registry: Registry) -> int:
    """Bring all deployments down: those of this machine at once, then those for which ``ssh`` may ask something."""
    from concurrent.futures import ThreadPoolExecutor

    from offload.deploy.lifecycle.common import link_of
    from offload.deploy.lifecycle.local import down as bring_down

    places = [registry.place(name) for name in registry.names()]
    here = [place for place in places if link_of(place) is None]
    code = 0

    def end(place: Place) -> int:
        try:
            bring_down(registry, place, lambda text: say(f"{place.name}: {text}"))
        except OffloadError as exc:  # the others end all the same
            print_error(exc)
            return exc.exit_code
        say(f"{place.name} is down")
        return 0

    with ThreadPoolExecutor(AT_ONCE) as threads:
        code = max([code, *threads.map(end, here)])
    return max([code, *(end(place) for place in places if place not in here)])


def _down_elsewhere(registry: Registry, target: str, name: str | None, everything: bool, python: str) -> int:
    """Bring deployments that were found on another machine down."""
    from offload.deploy.remote import discover

    if everything and name:
        raise UsageError("give a name or --all, not both")
    with discover.reached(registry, target) as site:
        for one in discover.look(site, python)[0] if everything else [name]:
            say(f"{discover.down(registry, site, one, say, python)} is down")
    return 0
