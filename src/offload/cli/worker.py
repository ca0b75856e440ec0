"""``offload worker`` and ``offload scheduler``: the programs that ``offload up`` starts, for people who automate."""

from __future__ import annotations

import os

import click

from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.registry.deployments import Place

WORKER_EPILOG = """\b
Examples:
    offload worker --contact ~/.local/share/offload/deployments/local/contact.json
    offload worker --contact https://10.0.0.5:8787 --credentials keys --host 10.0.0.7
"""

SCHEDULER_EPILOG = """\b
Example:
    offload scheduler mine
"""


@click.command(epilog=WORKER_EPILOG)
@click.option("--contact", required=True, metavar="FILE|URL", help="The deployment's contact.json, or its head's URL.")
@click.option("--credentials", metavar="DIR", help="With a URL: a copy of the deployment's directory `keys`.")
@click.option("--name", metavar="NAME", help="The worker's name. Default: host and process id.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Default: the deployment's choice.")
@click.option("--memory-limit", metavar="SIZE", help="4GB, auto, or 0 for none. Default: the deployment's choice.")
@click.option("--no-nanny", is_flag=True, help="Run without a nanny that starts the worker again.")
@click.option("--scratch", metavar="DIR", help="Where to keep temporary files.")
@click.option("--host", metavar="ADDRESS", help="The address to listen on, for scheduler and other workers.")
@click.option("--ports", metavar="A-B", help="Listen on ports of this range: one, and one for a nanny.")
@click.option("--resources", metavar="TEXT", help="What it has for calls that ask for it: GPU=1.")
def worker(
    contact: str,
    credentials: str | None,
    name: str | None,
    threads: int | None,
    memory_limit: str | None,
    no_nanny: bool,
    scratch: str | None,
    host: str | None,
    ports: str | None,
    resources: str | None,
) -> int:
    """Run a Dask worker that joins a deployment, until Ctrl-C or SIGTERM.

    It asks where the scheduler is, works for it until it goes away, and looks for it again.
    """
    import asyncio
    import socket
    import sys
    from importlib.machinery import ModuleSpec

    from offload.deploy.workers.discovery import whereabouts
    from offload.deploy.workers.process import Settings, work
    from offload.util.quantities import parse_ports
    from offload.util.resources import parse_resources

    known = whereabouts(contact, credentials)
    settings = Settings(
        name=name or f"{socket.gethostname()}-{os.getpid()}",
        threads=threads,
        memory_limit=memory_limit,
        nanny=False if no_nanny else None,
        scratch=scratch,
        host=host,
        ports=None if ports is None else parse_ports(ports),
        resources=parse_resources(resources),
    )
    # A nanny's worker would run the installed command once more; this name of ``python -m offload`` it leaves alone.
    sys.modules["__main__"].__spec__ = ModuleSpec("offload.__main__", None)
    with known.enrolled():
        asyncio.run(work(known, settings))
    return 0


@click.command(epilog=SCHEDULER_EPILOG)
@click.argument("name", required=False)
def scheduler(name: str | None) -> int:
    """Run only the Dask scheduler of a deployment, until Ctrl-C or SIGTERM.

    Its address appears on standard output, as one line of JSON, and in the contact file, where `offload worker` finds
    it. The deployment is made when it does not exist.
    """
    import asyncio

    from offload.commands.running.stale_scratch import temporary
    from offload.deploy.manual_parts import enrolled
    from offload.deploy.services.scheduler import serve

    place = prepared(name)
    with enrolled(place), temporary() as runtime:
        asyncio.run(serve(place, os.path.join(runtime, "dashboard"), None, attached=False))
    return 0


def prepared(name: str | None) -> Place:
    """Return the place of a deployment; one that does not exist is made, with the usual choices.

    Raises
    ------
    UsageError
        If the deployment has a head: its services run already.
    """
    from offload.deploy.config.spec import Spec
    from offload.deploy.lifecycle.common import known, prepare
    from offload.registry.deployments import Registry
    from offload.storage.home import checked_home

    registry = Registry(checked_home())
    place = registry.only(name) if name is None and registry.names() else registry.place(name or "local")
    contact = known(place)
    if contact is not None and contact.head_lives() and contact.has_head():
        raise UsageError(f"{place.name} is up: its services run already", f"offload down {place.name}")
    if not os.path.exists(place.spec):
        prepare(registry, Spec(name=place.name))
    return place
