"""Contact: where the services of a deployment are now.

The head writes it when they are up and whenever one has moved; clients and workers read it each time that they connect.
"""

from __future__ import annotations

import json
import os
from typing import Any

from offload.errors import DamagedError
from offload.util.files import write_whole

VERSION = 1
PROBE = 5.0  # seconds in which a head on another machine has to answer
AWAY = "away"
"""The state of a deployment on another machine to which there is no connection now."""
WORKERS_SIDE = "OFFLOAD_WORKERS_SIDE"
"""The variable that is set where a worker runs, and in all that it starts: they use the addresses for workers."""
REFUSED = "refused"
"""The state of a deployment that was joined and does not let in any more."""
DOWN = "down"
"""The state of a deployment on another machine that has been brought down there, or has ended: it is to stay so."""
ELSEWHERE = "elsewhere"
"""The state of a deployment that runs in another container of this machine, and cannot be reached from here."""


class Contact:
    """What the contact file says.

    Attributes
    ----------
    state : str
        ``"starting"``, ``"running"`` or ``"stopping"``; of one on another machine also `AWAY`, `REFUSED`,
        `DOWN`, or ``"dead"`` when its head there has died.
    head : dict
        ``pid``, ``started`` (the process's start time, which tells it from a later one with the same id), ``host``,
        ``url``, ``runtime`` (a directory for sockets) and ``scratch`` (one for temporary files of workers), both to be
        removed with it. Of a deployment on another machine, `pid` and `started` are those of the process here that
        keeps the connection, `node` is the name of this machine, and `scratch` is not there. Of a head that is a job of
        a batch system, `job` is its id. `workers_host` is the address of that machine for workers, where that is
        not the one in the addresses.
    scheduler : str or None
        Dask's address, such as ``tls://127.0.0.1:8786``.
    jobs : str or None
        URL of the job service.
    storage : str or None
        URL of the storage service.
    reason : str
        Why it is as it is, where that needs to be said.
    """

    __slots__ = ("__dict__", "directory")  # `vars` gives what the file holds

    directory: str | None
    """The directory that holds the contact file it was read from."""

    def __init__(
        self,
        state: str,
        head: dict[str, Any],
        scheduler: str | None = None,
        jobs: str | None = None,
        storage: str | None = None,
        reason: str = "",
    ) -> None:
        self.state = state
        self.head = head
        self.scheduler = scheduler
        self.jobs = jobs
        self.storage = storage
        self.reason = reason
        self.directory = None

    def head_lives(self) -> bool:
        """Tell whether the head that wrote the contact file still runs.

        Its process id tells so where it counts. On another machine, it answers. In another container of this machine,
        it answers, or holds its lock.
        """
        from offload.util.liveness import is_alive, is_from_here, is_locked, is_of_this_boot

        since = str(self.head.get("started", ""))
        is_here = self.head.get("node", self.head.get("host")) in (None, os.uname().nodename)
        if self.directory is None or (is_here and is_from_here(since)):
            return is_alive(self.head["pid"], since)
        return self._answers(self.directory) or (is_of_this_boot(since) and is_locked(_lock(self.directory)))

    def is_elsewhere(self) -> bool:
        """Tell whether the head runs in another container of this machine, and cannot be reached from here."""
        from offload.util.liveness import is_locked

        if self.directory is None or not self.is_of_another_container():
            return False
        return not self._answers(self.directory) and is_locked(_lock(self.directory))

    def is_of_another_container(self) -> bool:
        """Tell whether the head is, or was, in another container of this machine: its process id means nothing here."""
        from offload.util.liveness import is_from_here, is_of_this_boot

        since = str(self.head.get("started", ""))
        return is_of_this_boot(since) and not is_from_here(since)

    def _answers(self, directory: str) -> bool:
        from offload.errors import OffloadError, StorageError
        from offload.http.client import Client

        keys = os.path.join(directory, "keys")
        try:
            with open(os.path.join(keys, "token"), encoding="ascii") as file:
                token = file.read().strip()
            client = Client(self.head["url"], token, os.path.join(keys, "ca.pem"), connect=PROBE, idle=PROBE)
            client.call("GET", "/v1/contact")
            client.close()
        except (StorageError, OSError):
            return False
        except OffloadError:  # whatever it says, it says something
            return True
        return True

    def has_head(self) -> bool:
        """Tell whether a head has written it, and not a service that was started by itself."""
        return bool(self.head["url"])

    def addresses(self) -> list[str]:
        """Return where head and services listen, as far as they do."""
        return [address for address in (self.head["url"], self.scheduler, self.jobs, self.storage) if address]

    def for_workers(self) -> Contact:
        """Return it with the addresses that workers use."""
        host = self.head.get("workers_host")
        if host is None:
            return self
        head = {**self.head, "url": _at(self.head["url"], host)}
        found = Contact(
            self.state, head, _at(self.scheduler, host), _at(self.jobs, host), _at(self.storage, host), self.reason
        )
        found.directory = self.directory
        return found

    def write(self, path: str) -> None:
        """Write the contact file."""
        write_whole(path, json.dumps({"version": VERSION, **vars(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, path: str) -> Contact | None:
        """Return what the contact file says, or None where there is none.

        Raises
        ------
        DamagedError
            If it is not what a head writes.
        """
        try:
            with open(path, encoding="utf-8") as file:
                values = json.load(file)
            values.pop("version")
            int(values["head"]["pid"])  # without it, nobody could tell whether the rest is true
            contact = cls(**values)
            contact.directory = os.path.dirname(path)
            return contact.for_workers() if os.environ.get(WORKERS_SIDE) else contact
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise DamagedError(
                f"{path} is not a contact file", f"bring the deployment up again: offload up {_name(path)}"
            ) from exc


def _lock(directory: str) -> str:
    return os.path.join(directory, "lock")


def _at(address: str | None, host: str) -> str | None:
    """Return an address with another host."""
    if not address:
        return address
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{host}:{rest.rpartition(':')[2]}"


def _name(path: str) -> str:
    return os.path.basename(os.path.dirname(path))
