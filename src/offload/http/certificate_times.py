"""Certificates that do not count now: often it is a clock that is wrong, here or there."""

from __future__ import annotations

import time

from offload.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

NOT_YET, EXPIRED = 9, 10  # as OpenSSL calls them
SECONDS = 5.0
SAME = 60.0
"""Seconds by which clocks may differ that count as the same here."""


class ClockError(StorageError):
    """A certificate does not count yet, or not any more. To wait does not help."""


def of_clocks(error: ssl.SSLCertVerificationError, what: str, host: str, port: int) -> ClockError | None:
    """Return the error for a certificate that does not count now; None for one that does not count for other reasons.

    Parameters
    ----------
    error : ssl.SSLCertVerificationError
        Why it was not accepted.
    what : str
        Whose certificate it is.
    host : str
        Where that listens, and is asked what time it is.
    port : int
        Its port.
    """
    if error.verify_code not in (NOT_YET, EXPIRED):
        return None
    how = "is not yet valid" if error.verify_code == NOT_YET else "is not valid any more"
    ahead = _ahead(host, port)
    if ahead is None:
        return ClockError(f"the certificate of {what} {how}", "compare the clocks here and there: date")
    if abs(ahead) < SAME:
        return ClockError(f"the certificate of {what} {how}", "bring it down and up again: offload down, offload up")
    return ClockError(
        f"the certificate of {what} {how}: the clocks here and there differ by {_text(abs(ahead))}, "
        f"the one there is {'ahead' if ahead > 0 else 'behind'}",
        "set the one that is wrong: timedatectl set-ntp true",
    )


def _ahead(host: str, port: int) -> float | None:
    """Return by how many seconds the clock of a service is ahead, as it says itself; None where it says nothing."""
    import ssl
    from email.utils import parsedate_to_datetime
    from http.client import HTTPException, HTTPSConnection

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = (
        False,
        ssl.CERT_NONE,
    )  # it is told nothing, and asked for the time only
    connection = HTTPSConnection(host, port, timeout=SECONDS, context=context)
    try:
        connection.request("GET", "/")
        date = connection.getresponse().headers["Date"]
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (OSError, HTTPException, TypeError, ValueError):
        return None
    finally:
        connection.close()


def _text(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
