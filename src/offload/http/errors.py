"""Errors on their way through HTTP: one line of JSON with the kind's name, turned back into the same kind."""

from __future__ import annotations

from offload import errors
from offload.errors import OffloadError, StorageError

# What a client may be told, and the status that says it.
STATUS: dict[str, int] = {
    "UsageError": 400,
    "RefusedError": 401,
    "BasketGoneError": 410,
    "NotFoundError": 404,
    "BufferMissingError": 404,
    "ChecksumMismatchError": 422,
    "DiskFullError": 507,
    "NotWritableError": 500,
    "DamagedError": 500,
    "StorageError": 500,
}


def to_body(error: OffloadError) -> tuple[int, dict[str, str | None]]:
    """Give the status and the body that tell of an error."""
    kinds = (kind.__name__ for kind in type(error).__mro__)
    name = next((name for name in kinds if name in STATUS), "StorageError")
    return STATUS[name], {"error": name, "message": error.message, "hint": error.hint}


def from_body(status: int, body: bytes, where: str) -> OffloadError:
    """Make the error that a body tells of.

    Parameters
    ----------
    status : int
        Of the response.
    body : bytes
        It need not come from offload: proxies answer too.
    where : str
        Names the service.
    """
    import json

    try:
        told = json.loads(body)
        name, message, hint = told["error"], str(told["message"]), told.get("hint")
    except (ValueError, KeyError, TypeError, AttributeError):
        return StorageError(f"the service at {where} answers {status}, not as offload would", "check the address")
    if status == 401 and not hint:
        return errors.RefusedError(f"the service at {where} does not know this token", "use the deployment's token")
    kind = getattr(errors, name) if name in STATUS else StorageError
    error: OffloadError = kind(message, hint if hint is None else str(hint))
    return error
