"""``python -m offload.deploy.lifecycle.restart HOME NAME``: bring up again a deployment that is down.

What clients run that need it. Steps and errors are lines on standard error; the last one says how far it is. It is
not named by its place: what is, is a process of the deployment, and ends when that is brought up again.
"""

from __future__ import annotations

import sys

from offload.deploy.config.spec import spec_of
from offload.deploy.lifecycle.local import up
from offload.errors import OffloadError
from offload.registry.deployments import Registry


def main(home: str, name: str) -> int:
    """Bring it up, unless it has been brought down."""
    registry = Registry(home)
    place = registry.place(name)
    try:
        up(registry, spec_of(place), _tell, again=True)
    except FileNotFoundError:
        _tell(f"{place.name} has been brought down")
        return 1
    except OffloadError as exc:
        _tell(exc.message)
        return exc.exit_code
    return 0


def _tell(text: str) -> None:
    sys.stderr.write(text.replace("\n", " ") + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
