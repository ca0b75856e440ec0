"""10,000 small buffers and results, in process: put, existence, get; recorded and looked up, in batches and one by one.

There is no peer that does this in process; the comparison with Seamless's servers belongs to the same questions over
HTTP. The budget of one call (`bench_task.py`) is made of these, so they are kept in sight here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from benchmarks.harness import Context, Row, collect, serve


def offload_side(directory: str, count: int) -> dict[str, float]:
    from offload.storage.database import Entry
    from offload.storage.local.database import SqliteDatabase
    from offload.storage.local.store import DirectoryStore

    figures: dict[str, float] = {}

    def clock(name: str, action: Callable[[], object]) -> None:
        begin = time.perf_counter()
        action()
        figures[name] = (time.perf_counter() - begin) / count

    records = [b"transformation %d" % number for number in range(count)]
    keys = [hashlib.sha256(record).hexdigest() for record in records]
    buffers = [b"value %d" % number for number in range(count)]
    store = DirectoryStore(f"{directory}/store")
    database = SqliteDatabase(f"{directory}/database.sqlite")
    clock("put", lambda: store.put(buffers))
    sums = [hashlib.sha256(buffer).hexdigest() for buffer in buffers]
    if not all(store.has(sums)) or any(store.has(keys)):
        raise ValueError("has() is wrong")
    clock("has", lambda: store.has(sums))
    clock("get", lambda: store.get(sums))
    clock("get one by one", lambda: [store.get([checksum]) for checksum in sums])
    now = time.time()
    entries = [
        Entry(
            transformation=key,
            kind="python",
            label="benchmark:work",
            function=None,
            record=record,
            result=result,
            status="complete",
            started=now,
            seconds=0.0,
            details=b"\xa0",
        )
        for key, record, result in zip(keys, records, sums, strict=True)
    ]
    clock("record", lambda: database.record(entries))
    if database.lookup(keys) != sums:
        raise ValueError("lookup() is wrong")
    clock("lookup", lambda: database.lookup(keys))
    clock("lookup one by one", lambda: [database.lookup([key]) for key in keys])
    return figures


def measure(context: Context) -> list[Row]:
    count = context.pick(10_000, 10_000, 100)
    environ = context.environ(context.directory("lookups") / "home")

    def side() -> dict[str, float]:
        directory = context.directory("lookups")
        return context.side(context.offload, __file__, "offload", environ, directory=directory, count=count)

    figures = collect({"offload": side}, context.pick(7, 3, 1))["offload"]
    command = f'python -m benchmarks.bench_lookups offload \'{{"directory": "NEW", "count": {count}}}\''
    return [
        Row(f"store or database: {name}, per item of {count:,}", command, sample) for name, sample in figures.items()
    ]


if __name__ == "__main__":
    serve({"offload": offload_side})
