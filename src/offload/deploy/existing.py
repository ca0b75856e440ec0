"""A Dask scheduler that someone else started: how it is reached, and what is looked at before it is used."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Callable
from typing import Any

from offload._version import __version__
from offload.deploy.config.spec import Spec
from offload.engines.dask_settings import loaded
from offload.errors import OffloadError, UsageError
from offload.http.listen import is_loopback
from offload.registry.deployments import Place
from offload.registry.shared_files import Mark, is_visible, mark

SCHEMES = ("tls", "tcp")
CONNECT_SECONDS, PROBE_SECONDS = 15.0, 30.0
NAME = "existing"

Say = Callable[[str], None]


def is_address(target: str) -> bool:
    """Tell whether a target is the address of a scheduler."""
    return target.partition("://")[0] in SCHEMES


def choices(address: str, ca: str | None, certificate: str | None, key: str | None, know: bool) -> dict[str, Any]:
    """Return the part of a spec that says which scheduler to use and how to talk to it.

    Parameters
    ----------
    address : str
        Such as ``tls://10.0.0.5:8786``.
    ca, certificate, key : str or None
        Files; by default those of Dask's own configuration.
    know : bool
        Whether the user knows what plain TCP over a network means.

    Raises
    ------
    UsageError
        If a file is not given, or plain TCP is not accepted.
    """
    config = loaded()
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"{address} is no address of a scheduler", f"write it as {scheme}://HOST:PORT")
    if scheme == "tcp":
        if not is_loopback(host.strip("[]")) and not know:
            raise UsageError(
                f"{address} speaks plain TCP: everybody who can reach it can run code there, and read all that is sent",
                "have the scheduler use TLS, or add --i-know",
            )
        return {"scheduler": address}
    importlib.import_module("distributed")  # reads its part of Dask's configuration
    found = {}
    for name, given, setting in (
        ("tls_ca", ca, "ca-file"),
        ("tls_cert", certificate, "client.cert"),
        ("tls_key", key, "client.key"),
    ):
        path = given or config.get(f"distributed.comm.tls.{setting}", None)
        if not path:
            raise UsageError(
                f"{address} needs certificates, and none is known: {name.replace('_', '-')}",
                "give --tls-ca, --tls-cert and --tls-key, or set distributed.comm.tls in Dask's configuration",
            )
        found[name] = os.path.abspath(os.path.expanduser(path))
        if not os.access(found[name], os.R_OK):
            raise UsageError(f"{found[name]} cannot be read", f"it was given for {name.replace('_', '-')}")
    return {"scheduler": address, **found}


def examine(place: Place, spec: Spec, say: Say) -> None:
    """See whether a scheduler and its workers can be used, and say what of it is limited.

    Raises
    ------
    OffloadError
        If they cannot; the message says why.
    """
    from distributed import Client

    from offload.deploy.services.dask import security_of

    assert spec.scheduler is not None
    say(f"asking {spec.scheduler}")
    try:
        client = Client(spec.scheduler, security=security_of(place), timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as exc:
        raise OffloadError(
            f"the scheduler {spec.scheduler} cannot be reached: {str(exc) or 'no answer'}".replace("\n", " "),
            "see whether it runs, and speaks TLS with these certificates",
        ) from exc
    with client:
        if spec.scheduler.startswith("tcp:"):
            say(f"{spec.scheduler} is open to everybody who can reach it, other users of its machine included: no TLS")
        answers: dict[str, Any] = client.run(probe, mark(place.authority), on_error="return")
    if not answers:
        hint = f"start some: dask worker {spec.scheduler}"
        raise OffloadError(f"the scheduler {spec.scheduler} has no workers", hint)
    for address, answer in answers.items():
        reason = _reason(answer)
        if reason is not None:
            hint = f"install offload {__version__} where the workers run, and start them again"
            raise OffloadError(f"the worker {address} {reason}", hint)
    blind = sum(not sees for _, _, sees in answers.values())
    say(f"{len(answers)} worker{' is' if len(answers) == 1 else 's are'} there, with this offload")
    if blind:
        say(f"{blind} of them do not see {place.home}: results travel back from there, and commands do not run there")


def probe(home: Mark) -> tuple[str, tuple[str, ...], bool]:
    """Return, on a worker, what offload and Python it has, and whether it sees the home."""
    return __version__, platform.python_version_tuple()[:2], is_visible(home)


def _reason(answer: Any) -> str | None:
    """Return why a worker that gave this answer cannot be used."""
    if isinstance(answer, ImportError | AttributeError):
        return f"cannot import this offload: {answer}"
    if isinstance(answer, BaseException):
        return f"cannot be asked: {answer}"
    version, python, _ = answer
    if version != __version__:
        return f"has offload {version}, and this is {__version__}"
    if python != platform.python_version_tuple()[:2]:
        return f"has Python {'.'.join(python)}, and this is {platform.python_version()}"
    return None
