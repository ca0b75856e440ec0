"""A project as it travels to workers that do not see its files: put into a store, and laid out.

The project is a package of 200 modules and 50 files of data, 5 MB in all; one of its modules is edited then. Taking the
snapshot is what a program does when it submits calls, laying it out what a worker does before it imports: both are in
one process here, with a store on this disk, so without the network. The first row is all of the project, for an empty
store and a new worker, without its imports; then come one edited module, the next process of an unchanged project, and
an unchanged project within a process. There is no peer: what Dask (UploadDirectory) and Ray (working_dir) send is an
archive of the whole directory, again after each edit.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Context, Row, Sample, serve

MODULES, DATA, SIZE = 200, 50, 100_000
BUDGET = 0.3


def write(project: Path) -> None:
    package = project / "big_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("".join(f"from big_package import m{n}\n" for n in range(MODULES)))
    for number in range(MODULES):
        (package / f"m{number}.py").write_text(f"def f(x):\n    return x + {number}\n")
    for number in range(DATA):
        (package / f"{number}.bin").write_bytes(random.Random(number).randbytes(SIZE))


def travel(project: str, store: str, edit: int) -> dict[str, float]:
    from offload.snapshots import upload
    from offload.snapshots.unpack import lay_out
    from offload.storage.local.store import DirectoryStore

    sys.path.insert(0, project)
    importlib.import_module("big_package")
    found = {}
    kept = DirectoryStore(store)
    with tempfile.TemporaryDirectory() as worker:
        start = time.perf_counter()
        snapshot = upload.snapshot(("one",), kept)
        lay_out(snapshot, kept, worker)
        found["whole"] = time.perf_counter() - start
        upload._taken.clear()  # as in the next process, but for the modules
        start = time.perf_counter()
        assert upload.snapshot(("one",), kept) == snapshot
        found["next"] = time.perf_counter() - start
        Path(project, "big_package", "m1.py").write_text(f"# {edit}\n")
        time.sleep(0.5)  # until it is looked at again
        start = time.perf_counter()
        edited = upload.snapshot(("one",), kept)
        assert edited != snapshot
        lay_out(edited, kept, worker)
        found["edit"] = time.perf_counter() - start
        time.sleep(2.5)  # until the edit is not fresh any more
        upload.snapshot(("one",), kept)
        start = time.perf_counter()
        for _ in range(1000):
            upload.snapshot(("one",), kept)
        found["same"] = (time.perf_counter() - start) / 1000
    return found


def measure(context: Context) -> list[Row]:
    rounds = []
    for number in range(context.pick(5, 3, 1)):
        place = context.directory(f"round{number}")
        write(place / "project")
        rounds.append(
            context.side(
                context.offload, __file__, "travel", context.environ(place / "home"),
                project=os.fspath(place / "project"), store=os.fspath(place / "store"), edit=number,
            )
        )  # fmt: skip
    command = "python benchmarks/run.py --only snapshot"

    def row(what: str, name: str, budget: float | None = None) -> Row:
        return Row(what, command, Sample(tuple(one[name] for one in rounds)), at_most_seconds=budget)

    return [
        row(f"a project of {MODULES + DATA + 1} files, 5 MB: taken and laid out for the first time", "whole", BUDGET),
        row("the same, one module edited", "edit", BUDGET),
        row("unchanged, in the next process: taken", "next"),
        row("unchanged, within a process: taken", "same", 0.001),
    ]


if __name__ == "__main__":
    serve({"travel": travel})
