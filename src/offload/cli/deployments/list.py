"""``offload list``, ``use``, ``scale``, ``env`` and ``dashboard``."""

from __future__ import annotations

import click

from offload.cli.arguments import json_option
from offload.cli.output import say
from offload.cli.tables import write_json, write_line, write_table
from offload.errors import OffloadError, UsageError
from offload.notices import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.registry.contact import Contact
    from offload.registry.deployments import Place, Registry


def registry() -> Registry:
    """Return the registry of the user's home."""
    from offload.registry.deployments import Registry
    from offload.storage.home import checked_home

    return Registry(checked_home())


def running(name: str | None) -> tuple[Place, Contact]:
    """Return a deployment that is up.

    Raises
    ------
    OffloadError
        If it is not; the hint says how to bring it up.
    """
    from offload.deploy.lifecycle.local import state
    from offload.registry.connect import elsewhere, refusal
    from offload.registry.contact import ELSEWHERE, REFUSED, Contact

    place = registry().only(name)
    contact = Contact.read(place.contact)
    if contact is not None and contact.state == REFUSED:
        raise refusal(place, contact)
    now = state(place)
    if now == ELSEWHERE:
        raise elsewhere(place)
    if contact is None or now != "running":
        reason = f": {contact.reason}" if contact is not None and contact.reason else ""
        hint = f"bring it up: offload up {place.name}"
        raise OffloadError(f"the deployment {place.name} is {now}{reason}", hint)
    return place, contact


LIST_EPILOG = """\b
Examples:
    offload list
    offload list --json
    offload list ssh://me@login.example.org
"""


@click.command("list", epilog=LIST_EPILOG)
@click.argument("target", required=False)
@click.option("--python", default="", metavar="PATH", help="For ssh://: the Python there that has offload.")
@json_option
def listing(target: str | None, python: str, as_json: bool) -> int:
    """List the deployments: their names, how they are, where they are.

    With ssh://USER@HOST, those on that machine, whoever has started them.
    """
    from offload.deploy.lifecycle.common import known as contact_of
    from offload.deploy.lifecycle.local import state

    known = registry()
    if target is not None:
        return _list_elsewhere(known, target, python, as_json)
    in_use = known.in_use()
    rows = []
    for name in known.names():
        place = known.place(name)
        contact = contact_of(place)
        where = contact.scheduler if contact is not None else None
        rows.append({"name": name, "state": state(place), "scheduler": where, "in_use": name == in_use})
    if as_json:
        write_json(rows)
    elif not rows:
        say("there are no deployments; offload up starts one")
    else:
        write_table(
            ("NAME", "STATE", "SCHEDULER"),
            [(f"{r['name']}{' *' if r['in_use'] else ''}", str(r["state"]), str(r["scheduler"] or "")) for r in rows],
        )
    return 0


def _list_elsewhere(known: Registry, target: str, python: str, as_json: bool) -> int:
    """List the deployments on another machine."""
    from offload.deploy.config.resolve_remote import is_site
    from offload.deploy.remote import discover as elsewhere

    if not is_site(target):
        raise UsageError(f"{target!r} is no machine", "write it as ssh://user@host")
    with elsewhere.reached(known, target) as site:
        rows = elsewhere.listing(known, site, python)
    if as_json:
        write_json(rows)
    elif not rows:
        say(f"there are no deployments on {target}; offload up {target} starts one")
    else:
        texts = [(r["name"], r["state"], r["scheduler"] or "", "yes" if r["known"] else "no") for r in rows]
        write_table(("NAME", "STATE", "SCHEDULER THERE", "KNOWN HERE"), texts)
    return 0


@click.command(epilog="Example: offload use big")
@click.argument("name", required=False)
@click.option("--none", "nothing", is_flag=True, help="Use none.")
def use(name: str | None, nothing: bool) -> int:
    """Make a deployment the one that commands are about when they name none."""
    if nothing == bool(name):
        raise UsageError("give the name of a deployment, or --none", "offload list shows them")
    registry().use(name)
    say(f"using {name}" if name else "using no deployment")
    return 0


@click.command(
    epilog="""\b
Examples:
    offload scale local 8
    offload scale local 0-16
    offload scale hpc 0-4 --group gpu
"""
)
@click.argument("name")
@click.argument("workers", metavar="N|A-B")
@click.option(
    "--group", default="worker", metavar="NAME", help="Of another group of workers; `offload status` names them."
)
@json_option
def scale(name: str, workers: str, group: str, as_json: bool) -> int:
    """Change the number of workers: to N, or to what the work asks for, from A to B.

    With N, those that go hand over what they hold, idle ones first. With A-B, workers come as soon as there is more to
    do, and idle ones go after some calm.
    """
    from offload.deploy import scaling
    from offload.util.quantities import parse_limits

    minimum, maximum = parse_limits(workers)
    place, _ = running(name)
    if maximum is None:
        told = scaling.scale(place, minimum, group)
    else:
        told = scaling.adapt(place, minimum, maximum, group)
    if as_json:
        write_json(told)
    else:
        limits = "" if maximum is None else f", from {minimum} to {maximum} from now on"
        mine = [one for one in told["workers"] if one["group"] == group and one["state"] != "leaving"]
        say(f"{name} has {counted(len(mine), 'worker')}{'' if group == 'worker' else f' of {group}'}{limits}")
    return 0


@click.command(
    epilog="""\b
Example:
    eval "$(offload env)"
    python -c 'from distributed import Client; print(Client())'
"""
)
@click.argument("name", required=False)
def env(name: str | None) -> int:
    """Print the lines that make another terminal, and plain Dask code in it, use a deployment.

    They hold paths of files that only you can read, and no secrets.
    """
    from offload.deploy.envfile import lines

    for line in lines(*running(name)):
        write_line(line)
    return 0


@click.command(epilog="Example: offload dashboard --print")
@click.argument("name", required=False)
@click.option("--print", "only_print", is_flag=True, help="Only print the link.")
def dashboard(name: str | None, only_print: bool) -> int:
    """Open Dask's dashboard in the browser.

    The link holds the deployment's token: whoever has it can use the deployment as you.
    """
    from offload.deploy.config.spec import spec_of
    from offload.deploy.security import credentials

    place, contact = running(name)
    if contact.scheduler is None:
        raise OffloadError(f"the deployment {place.name} is storage only: it has no dashboard", "offload list")
    if spec_of(place).scheduler is not None:
        raise OffloadError(
            f"the scheduler of {place.name} is not offload's: its dashboard is where others have put it",
            f"often it is on port 8787 of the machine of {contact.scheduler}",
        )
    if not contact.has_head():
        raise OffloadError(
            f"the deployment {place.name} has no head, through which its dashboard is reached",
            f"offload down {place.name}",
        )
    link = f"{contact.head['url']}/login?token={credentials.token(place.keys)}"
    write_line(link)
    if not only_print:
        click.launch(link)
    return 0
