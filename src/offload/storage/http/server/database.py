"""The database over HTTP: results looked up in bulk, and every other method by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from offload.errors import UsageError
from offload.identity.checksums import is_checksum
from offload.storage.database import Database, Entry
from offload.storage.http import protocol
from offload.storage.http.rows import pack, row, unpack
from offload.storage.http.server.transfer import whole_body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from offload.storage.http.server.transfer import Threads
    from offload.storage.store import Store

_HUGE = 2**63


class Results:
    """Answers requests to the database."""

    def __init__(self, database: Database, threads: Threads, store: Store | None) -> None:
        self._database = database
        self._threads = threads
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Give the requests that are answered here."""
        return [web.post("/v1/lookup", self.lookup), web.post("/v1/database/{method:[a-z]+}", self.call)]

    async def lookup(self, request: web.Request) -> web.Response:
        """Give the results that can be recalled."""
        asked = protocol.unpack_checksums(await whole_body(request))
        found = await self._threads.run(lambda: self._database.lookup(asked))
        return web.Response(body=protocol.pack_optional(found), content_type=protocol.BINARY)

    async def call(self, request: web.Request) -> web.Response:
        """Call a method with the list of arguments that is the body."""
        name = request.match_info["method"]
        wanted = _METHODS.get(name)
        if wanted is None:
            raise UsageError(f"the database has no {name} (another version of offload?)")
        body = await whole_body(request)
        method = getattr(self._database, name)

        def work() -> bytes:
            # Thousands of rows take their time too.
            arguments = unpack(body)
            if not isinstance(arguments, list) or len(arguments) != len(wanted):
                raise UsageError(f"{name} takes {len(wanted)} arguments")
            checked = [check(value) for check, value in zip(wanted, arguments, strict=True)]
            if name == "prune":
                checked.insert(1, self._kept)
            return pack(method(*checked))

        return web.Response(body=await self._threads.run(work), content_type=protocol.ROWS)

    def _kept(self, checksums: Sequence[str]) -> list[bool]:
        """Tell which buffers there are; all, where another service has them."""
        return [True] * len(checksums) if self._store is None else self._store.has(checksums)


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise UsageError("yes or no is needed")


def _time(value: Any) -> float:
    if isinstance(value, int | float):
        return value
    raise UsageError("a time is needed")


def _checksums(value: Any) -> list[str]:
    if isinstance(value, list) and all(isinstance(one, str) and is_checksum(one) for one in value):
        return value
    raise UsageError("a list of checksums is needed")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise UsageError("a text is needed")


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any) -> int:
    if isinstance(value, int) and -_HUGE <= value < _HUGE:
        return value
    raise UsageError("a whole number is needed")


def _time_or_none(value: Any) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    raise UsageError("a time is needed")


_ENTRY: tuple[Any, ...] = (str, str, str, (str, type(None)), bytes, str, str, (int, float), (int, float), bytes, bool)


def _fits(values: list[Any]) -> bool:
    return all(isinstance(value, kinds) for value, kinds in zip(values, _ENTRY, strict=True))


def _entries(value: Any) -> list[Entry]:
    if not isinstance(value, list):
        raise UsageError("a list of entries is needed")
    for values in value:
        if not isinstance(values, list) or len(values) != len(_ENTRY) or not _fits(values):
            raise UsageError("an entry is not what this version of offload knows")
        if not (is_checksum(values[0]) and is_checksum(values[5])):
            raise UsageError("an entry names its transformation and its result by checksums")
    return [row(Entry, values) for values in value]


# What may be called, and what each argument has to be.
_METHODS: dict[str, tuple[Callable[[Any], Any], ...]] = {
    "record": (_entries,),
    "transformation": (_text,),
    "results": (_checksums,),
    "nearest": (_text, _text, _number),
    "producers": (_checksums,),
    "makers": (_checksums,),
    "users": (_checksums,),
    "runs": (
        *(_text_or_none, _text_or_none, _text_or_none, _time_or_none, _number, _text_or_none),
        *(_time_or_none, _text_or_none, _text_or_none, _text_or_none),
    ),
    "forget": (_checksums,),
    "find": (_text_or_none, _text_or_none, _text_or_none),
    "prune": (_time, _truth),
    "statistics": (),
}
