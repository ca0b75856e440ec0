"""A large file (1 GiB in a full run) into the store and out of it, against `dd conv=fsync` and `cp`.

`put_file` copies (or reflinks, where the file system can), computes the SHA-256 of what it stores and the digest of
each MiB, and fsyncs before it publishes; `extract` verifies every MiB as it writes. dd with fsync is what the disk
allows, cp what the memory allows: neither hashes. The file lies in the page cache on both sides; each round has new
targets on the same file system, and what was written before is flushed before the clock starts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time

from benchmarks.harness import Context, Row, interleave, serve, timed

MIB = 1 << 20


def put_side(directory: str, path: str) -> dict[str, float]:
    from offload.storage.local.store import DirectoryStore

    store = DirectoryStore(f"{directory}/store")
    begin = time.perf_counter()
    store.put_file(path)
    return {"seconds": time.perf_counter() - begin}


def extract_side(directory: str, path: str, checksum: str) -> dict[str, float]:
    from offload.storage.local.store import DirectoryStore

    store = DirectoryStore(f"{directory}/store")
    begin = time.perf_counter()
    store.extract(checksum, path)
    return {"seconds": time.perf_counter() - begin}


def measure(context: Context) -> list[Row]:
    here = context.directory("bulk")
    environ = context.environ(here / "home")
    megabytes = context.pick(1024, 100, 2)
    data, total = here / "data", hashlib.sha256()
    with data.open("wb") as file:
        for _ in range(megabytes):
            block = os.urandom(MIB)
            total.update(block)
            file.write(block)
    checksum, copy, place = total.hexdigest(), here / "copy", here / "place"

    def fresh() -> None:
        copy.unlink(missing_ok=True)
        os.sync()

    def command(*argv: str) -> float:
        fresh()
        return timed(argv, environ, here)

    def put() -> float:
        shutil.rmtree(place, ignore_errors=True)
        fresh()
        return context.side(context.offload, __file__, "put", environ, directory=place, path=data)["seconds"]

    def extract() -> float:
        fresh()
        arguments = {"directory": place, "path": copy, "checksum": checksum}
        return context.side(context.offload, __file__, "extract", environ, **arguments)["seconds"]

    sides = {
        "dd": lambda: command("dd", f"if={data}", f"of={copy}", "bs=1M", "conv=fsync", "status=none"),
        "put": put,
        "cp": lambda: command("cp", "--reflink=auto", str(data), str(copy)),
        "extract": extract,
    }
    samples = interleave(sides, context.pick(5, 3, 1), context.pick(1, 1, 0))
    dd, cp = "dd bs=1M conv=fsync", "cp"
    run = 'python -m benchmarks.bench_bulk %s \'{"directory": "NEW", "path": "FILE"%s}\''
    into, out = run % ("put", ""), run % ("extract", ', "checksum": "SUM"')
    what = f"{megabytes} MiB file"
    return [
        Row(f"{what} into the store (hashed, fsynced)", into, samples["put"], dd, samples["dd"]),
        Row(f"{what} into the store (hashed, fsynced)", into, samples["put"], cp, samples["cp"]),
        Row(f"{what} out of the store (verified)", out, samples["extract"], dd, samples["dd"]),
        Row(f"{what} out of the store (verified)", out, samples["extract"], cp, samples["cp"]),
    ]


if __name__ == "__main__":
    serve({"put": put_side, "extract": extract_side})
