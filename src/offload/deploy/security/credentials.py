"""Which credentials a deployment has, by role, in the directory where it keeps them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from offload.deploy.security import pki
from offload.deploy.security.pki import Certificate
from offload.util.files import write_whole

SERVER, DASK = "server", "dask"
"""Who has a certificate: the HTTPS services, and Dask's scheduler, workers and clients, which check each other's."""


def create(keys: str, hosts: Sequence[str]) -> None:
    """Make the authority, the certificates and the token; the authority and secrets of clients stay as they are.

    Parameters
    ----------
    keys : str
        The directory.
    hosts : sequence of str
        The addresses and names under which the deployment is reached.
    """
    pki.create_authority(keys)
    pki.issue(keys, SERVER, hosts)  # it may be reached otherwise than the last time
    if not certificate(keys, DASK).complete:
        pki.issue(keys, DASK, hosts)
    pki.create_token(_token(keys))


def authority(keys: str) -> str:
    """Return the path of the certificate that all others are checked against."""
    return Certificate(keys, "ca").certificate


def certificate(keys: str, role: str) -> Certificate:
    """Return the paths of a role's certificate and key."""
    return Certificate(keys, role)


def token(keys: str) -> str:
    """Return the token that every request needs."""
    return pki.read_token(_token(keys))


def of_client(keys: str) -> dict[str, str]:
    """Return what a client on another machine needs, by the names of the files that it is kept in: all secret."""
    own = certificate(keys, DASK)
    paths = {"ca.pem": authority(keys), "token": _token(keys), "dask.pem": own.certificate, "dask.key": own.key}
    found = {}
    for name, path in paths.items():
        with open(path, encoding="ascii") as file:
            found[name] = file.read()
    return found


def keep(keys: str, files: dict[str, str]) -> None:
    """Write what `of_client` has given on another machine."""
    os.makedirs(keys, 0o700, exist_ok=True)
    for name in ("ca.pem", "token", "dask.pem", "dask.key"):
        write_whole(os.path.join(keys, name), files[name].encode("ascii"), durable=True)


def _token(keys: str) -> str:
    return os.path.join(keys, "token")  # as `Place.token` has it
