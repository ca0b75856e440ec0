"""The database of a storage service."""

from __future__ import annotations

from offload.errors import UsageError
from offload.http.client import Client
from offload.storage.database import Database
from offload.storage.http import protocol
from offload.storage.records import Entry, Pruned, Result, Run, Transformation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from offload.storage.local.pruning import Kept

ASKED = 100_000
"""Checksums of one request; more are asked for in several."""

_LARGEST = 256 * 1024 * 1024


class HttpDatabase(Database):
    """The database of a storage service.

    Parameters
    ----------
    client : Client
        Where it is; closed with the database.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def lookup(self, transformations: Sequence[str]) -> list[str | None]:
        found: list[str | None] = []
        for start in range(0, len(transformations), ASKED):
            part = transformations[start : start + ASKED]
            answer = self._client.call("POST", "/v1/lookup", protocol.pack_checksums(part))
            found += protocol.unpack_optional(answer.body, len(part))
        return found

    def _call(self, method: str, *arguments: object, again: bool = True) -> Any:
        from offload.storage.http.rows import pack, unpack

        body = pack(arguments)
        if len(body) > _LARGEST:
            raise UsageError(f"{len(body)} bytes are too much for one request to the storage service", "use batches")
        return unpack(self._client.call("POST", f"/v1/database/{method}", body, again=again).body)

    def record(self, entries: Sequence[Entry]) -> list[str]:
        outcomes: list[str] = self._call("record", list(entries), again=False)
        return outcomes

    def transformation(self, checksum: str) -> Transformation | None:
        values = self._call("transformation", checksum)
        return None if values is None else _row(Transformation, values)

    def results(self, transformations: Sequence[str]) -> list[Result | None]:
        rows = self._call("results", list(transformations))
        return [None if values is None else _row(Result, values) for values in rows]

    def nearest(self, kind: str, label: str, limit: int = 20) -> list[Transformation]:
        return [_row(Transformation, values) for values in self._call("nearest", kind, label, limit)]

    def producers(self, results: Sequence[str]) -> list[list[str]]:
        found: list[list[str]] = self._call("producers", list(results))
        return found

    def makers(self, checksums: Sequence[str]) -> list[list[str]]:
        found: list[list[str]] = self._call("makers", list(checksums))
        return found

    def users(self, checksums: Sequence[str]) -> list[list[str]]:
        found: list[list[str]] = self._call("users", list(checksums))
        return found

    def runs(
        self,
        kind: str | None = None,
        label: str | None = None,
        text: str | None = None,
        since: float | None = None,
        limit: int = 50,
        transformation: str | None = None,
        until: float | None = None,
        outcome: str | None = None,
        host: str | None = None,
        pattern: str | None = None,
    ) -> list[Run]:
        rows = self._call("runs", kind, label, text, since, limit, transformation, until, outcome, host, pattern)
        return [_row(Run, values) for values in rows]

    def forget(self, transformations: Sequence[str]) -> int:
        dropped: int = self._call("forget", list(transformations))
        return dropped

    def find(self, kind: str | None = None, label: str | None = None, text: str | None = None) -> list[str]:
        found: list[str] = self._call("find", kind, label, text)
        return found

    def prune(self, before: float, kept: Kept, dry_run: bool = False) -> Pruned:
        pruned: Pruned = _row(Pruned, self._call("prune", before, dry_run))
        return pruned

    def statistics(self) -> dict[str, int]:
        counts: dict[str, int] = self._call("statistics")
        return counts

    def close(self) -> None:
        self._client.close()


def _row(kind: type[Any], values: Sequence[Any]) -> Any:
    from offload.storage.http.rows import row

    return row(kind, values)
