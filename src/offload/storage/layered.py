"""Storage that reads through other storage: what the first does not have is looked for in the next.

Everything is written to the first. What is forgotten is forgotten everywhere, as it would be recalled otherwise.
"""

from __future__ import annotations

from offload.errors import BufferMissingError
from offload.storage.database import Database
from offload.storage.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    from offload.storage.local.eviction import Costs
    from offload.storage.local.leases import Lease
    from offload.storage.local.pruning import Kept
    from offload.storage.reader import Reader
    from offload.storage.records import Collected, Entry, Pruned, Result, Run, Transformation, Usage
    from offload.storage.store import Data

    L = TypeVar("L", Store, Database)


def _first(layers: Sequence[L], keys: Sequence[str], ask: Callable[[L, list[str]], Sequence[Any]]) -> list[Any]:
    """Ask the layers in turn, each for what those before it do not have; an answer that is false is no answer."""
    answers: list[Any] = list(ask(layers[0], list(keys)))
    for layer in layers[1:]:
        missing = [place for place, answer in enumerate(answers) if answer is None or answer is False]
        if not missing:
            break
        for place, answer in zip(missing, ask(layer, [keys[place] for place in missing]), strict=True):
            answers[place] = answer
    return answers


def _united(found: Sequence[Sequence[list[str]]]) -> list[list[str]]:
    """Put together what several layers have found for each key, without repetitions."""
    return [list(dict.fromkeys(name for names in each for name in names)) for each in zip(*found, strict=True)]


class LayeredStore(Store):
    """A store that reads through others.

    Parameters
    ----------
    layers : sequence of Store
        The first is written to. All are closed with it.
    """

    def __init__(self, layers: Sequence[Store]) -> None:
        self._layers = layers
        self._own = layers[0]

    def has(self, checksums: Sequence[str]) -> list[bool]:
        return _first(self._layers, checksums, lambda layer, some: layer.has(some))

    def resolve(self, digits: str) -> str | None:
        return next((found for layer in self._layers if (found := layer.resolve(digits)) is not None), None)

    def sizes(self, checksums: Sequence[str]) -> list[int | None]:
        return _first(self._layers, checksums, lambda layer, some: layer.sizes(some))

    def get(self, checksums: Sequence[str]) -> list[bytes | None]:
        return _first(self._layers, checksums, lambda layer, some: layer.get(some))

    def _from_first(self, give: Callable[[Store], Any]) -> Any:
        for layer in self._layers[:-1]:
            try:
                return give(layer)
            except BufferMissingError:
                continue
        return give(self._layers[-1])

    def open(self, checksum: str) -> Reader:
        reader: Reader = self._from_first(lambda layer: layer.open(checksum))
        return reader

    def extract(self, checksum: str, path: str, mode: int = 0o644) -> None:
        self._from_first(lambda layer: layer.extract(checksum, path, mode))

    def put(self, buffers: Sequence[Data]) -> list[str]:
        return self._own.put(buffers)

    def put_stream(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        return self._own.put_stream(chunks, expected)

    def put_file(self, path: str, expected: str | None = None) -> str:
        return self._own.put_file(path, expected)

    def delete(self, checksums: Sequence[str]) -> int:
        return self._own.delete(checksums)

    def lease(self, checksums: Sequence[str], seconds: float = 3600.0) -> Lease:
        return self._own.lease(checksums, seconds)

    def usage(self) -> Usage:
        return self._own.usage()

    def collect(self, max_size: int, dry_run: bool = False, costs: Costs | None = None) -> Collected:
        return self._own.collect(max_size, dry_run, costs)

    def close(self) -> None:
        for layer in self._layers:
            layer.close()


class LayeredDatabase(Database):
    """A database that reads through others.

    Parameters
    ----------
    layers : sequence of Database
        The first is written to. All are closed with it.
    """

    def __init__(self, layers: Sequence[Database]) -> None:
        self._layers = layers
        self._own = layers[0]

    def lookup(self, transformations: Sequence[str]) -> list[str | None]:
        return _first(self._layers, transformations, lambda layer, some: layer.lookup(some))

    def record(self, entries: Sequence[Entry]) -> list[str]:
        return self._own.record(entries)

    def transformation(self, checksum: str) -> Transformation | None:
        return next((found for layer in self._layers if (found := layer.transformation(checksum)) is not None), None)

    def results(self, transformations: Sequence[str]) -> list[Result | None]:
        return _first(self._layers, transformations, lambda layer, some: layer.results(some))

    def nearest(self, kind: str, label: str, limit: int = 20) -> list[Transformation]:
        known: dict[str, Transformation] = {}
        for layer in self._layers:
            for one in layer.nearest(kind, label, limit):
                known.setdefault(one.checksum, one)
        return sorted(known.values(), key=lambda one: one.first_seen, reverse=True)[:limit]

    def producers(self, results: Sequence[str]) -> list[list[str]]:
        return _united([layer.producers(results) for layer in self._layers])

    def makers(self, checksums: Sequence[str]) -> list[list[str]]:
        return _united([layer.makers(checksums) for layer in self._layers])

    def users(self, checksums: Sequence[str]) -> list[list[str]]:
        return _united([layer.users(checksums) for layer in self._layers])

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
        wanted = (kind, label, text, since, limit, transformation, until, outcome, host, pattern)
        if transformation is not None:  # told beside a result that was recalled, and known where that is
            return next((runs for layer in self._layers if (runs := layer.runs(*wanted))), [])
        found = [layer.runs(*wanted) for layer in self._layers]
        if len(found) == 1 or not any(found[1:]):
            return found[0]
        return sorted((run for runs in found for run in runs), key=lambda run: run.started, reverse=True)[:limit]

    def forget(self, transformations: Sequence[str]) -> int:
        return max(layer.forget(transformations) for layer in self._layers)

    def find(self, kind: str | None = None, label: str | None = None, text: str | None = None) -> list[str]:
        return list(dict.fromkeys(name for layer in self._layers for name in layer.find(kind, label, text)))

    def costs(self) -> Mapping[str, float]:
        return self._own.costs()

    def prune(self, before: float, kept: Kept, dry_run: bool = False) -> Pruned:
        return self._own.prune(before, kept, dry_run)

    def statistics(self) -> dict[str, int]:
        return self._own.statistics()

    def close(self) -> None:
        for layer in self._layers:
            layer.close()
