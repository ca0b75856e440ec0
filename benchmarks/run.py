"""Measure offload's budgets side by side with its peers and write docs/performance.md.

Every ``bench_*.py`` here is one benchmark: a docstring (what, and why fair) and `measure(context) -> list[Row]`.
Only a run of all of them with all peers writes docs/performance.md and results.json, unless ``--write`` insists. What
one has measured is kept until the source changes: ``--resume`` goes on after a run that was broken off or failed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import environments, report
from benchmarks.harness import BENCHMARKS, ROOT, BenchmarkError, Context, Environment, Progress, Row, Sample

PEERS = ["joblib", "dask", "distributed", "redun", "seamless-suite"]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = sorted(path.stem.removeprefix("bench_") for path in BENCHMARKS.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", dest="size", const="quick", help="under two minutes")
    size.add_argument(
        "--smoke", action="store_const", dest="size", const="smoke", help="tiny, no peers, in this Python: does it run?"
    )
    parser.add_argument("--no-peers", action="store_true", help="offload's own side only")
    parser.add_argument(
        "--resume", action="store_true", help="measure only what no full run of this source has measured already"
    )
    parser.add_argument("--write", action="store_true", help="write the report whatever was measured")
    parser.set_defaults(size="full", every=names)
    return parser.parse_args(arguments)


def context_for(options: argparse.Namespace, scratch: Path) -> tuple[Context, dict[str, str], list[str]]:
    """Make the environments; returns the context, the versions in use and the peers' problems."""
    if options.size == "smoke":
        ours = Environment(Path(sys.executable))
        return Context("smoke", scratch, ours), environments.versions(ours, ["offload"]), []
    with Progress("environments"):
        ours = environments.offload()
        versions = environments.versions(ours, ["offload", "dask", "distributed"])
        if options.no_peers:
            return Context(options.size, scratch, ours), versions, []
        common, seamless, problems = environments.peers(ours)
    found = environments.versions(common, PEERS) | environments.versions(seamless, ["seamless-suite"])
    context = Context(options.size, scratch, ours, common, seamless if "seamless-suite" in found else None, set(found))
    return context, versions | found, problems


def kept(name: str) -> Path:
    """Return where the rows of a benchmark are kept, of full runs of the present source."""
    return environments.PLACE / "measured" / environments.source()[:16] / f"{name}.json"


def keep(name: str, rows: Sequence[Row]) -> None:
    """Keep the rows of a benchmark."""
    path = kept(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows]))


def load(name: str) -> list[Row] | None:
    """Return the rows that are kept of a benchmark, if there are any."""
    if not kept(name).exists():
        return None
    rows = json.loads(kept(name).read_text())
    for row in rows:
        for side in ("ours", "theirs"):
            row[side] = row[side] and Sample(tuple(row[side]["values"]))
    return [Row(**row) for row in rows]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that were asked for; 0 when all ran, whether or not the budgets hold."""
    options = parse(arguments)
    scratch = Path(tempfile.mkdtemp(prefix="offload-benchmarks-")).resolve()
    results: dict[str, list[Row]] = {}
    texts: dict[str, str] = {}
    failures: dict[str, str] = {}
    try:
        context, versions, problems = context_for(options, scratch)
        for name in options.only:
            module = importlib.import_module(f"benchmarks.bench_{name}")
            texts[name] = module.__doc__ or ""
            if options.resume and (rows := load(name)) is not None:
                results[name] = rows
                continue
            try:
                with Progress(name):
                    results[name] = module.measure(context)
                if options.size == "full" and not options.no_peers:
                    keep(name, results[name])
            except BenchmarkError as error:
                failures[name] = str(error)
                print(f"!!! {name} FAILED: {error}", file=sys.stderr)
        machine = report.facts(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for row in report.lines([row for rows in results.values() for row in rows]):
        print(" | ".join(row))
    for problem in problems:
        print(f"!!! PEER NOT INSTALLED: {problem}")
    complete = options.only == options.every and not failures and not options.no_peers and options.size == "full"
    if complete or options.write:
        page = report.markdown(options.size, results, texts, failures, machine, versions, problems)
        (ROOT / "docs").mkdir(exist_ok=True)
        (ROOT / "docs" / "performance.md").write_text(page)
        (BENCHMARKS / "results.json").write_text(report.document(options.size, results, machine, versions))
        print("written: docs/performance.md, benchmarks/results.json")
    else:
        print("not written to docs/performance.md: only a full run of everything is (or --write)")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
