"""The main job on real input: shell commands over texts, a parameter sweep over digits, and then all of it again.

    make demo

Everything happens in build/demo, with a home of its own there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import sklearn

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "demo"
SWEEP = ROOT / "examples" / "sweep.py"

# Each step: what it is about, and the line for the shell.
STEPS = (
    (
        "Count the words of 14 texts, one command each",
        r"""offload run --each texts.txt -- sh -c 'tr -cs A-Za-z "\n" < "$1" | sort | uniq -c' - {} > counts.txt""",
    ),
    (
        "Add up what is longer than five letters",
        "offload run -- awk 'length($2) > 5 { n[$2] += $1 } END { for (w in n) print n[w], w }' counts.txt > sums.txt",
    ),
    (
        "The 200 most frequent of them",
        'offload run -- sh -c \'sort -k1,1nr -k2 "$1" | head -n 200 | cut -d " " -f 2\' - sums.txt > words.txt',
    ),
    (
        "In how many texts does each stand?",
        "offload run -i texts --each words.txt -- sh -c 'echo $(grep -lwe $1 texts/* | wc -l) $1' - {} > found.txt",
    ),
    (
        "A parameter sweep in Python, on all cores",
        f"python {os.path.relpath(SWEEP, PLACE)}",
    ),
)
RESULTS = ("counts.txt", "sums.txt", "words.txt", "found.txt")


def prepare() -> None:
    """A fresh place, with the descriptions of scikit-learn's data sets as the texts."""
    shutil.rmtree(PLACE, ignore_errors=True)
    (PLACE / "texts").mkdir(parents=True)
    for path in sorted((Path(sklearn.__file__).parent / "datasets" / "descr").glob("*.rst")):
        shutil.copy(path, PLACE / "texts")
    (PLACE / "texts.txt").write_text("".join(f"texts/{path.name}\n" for path in sorted((PLACE / "texts").iterdir())))
    os.chdir(PLACE)
    os.environ["OFFLOAD_HOME"] = str(PLACE / "home")
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def run_all() -> tuple[float, list[bytes]]:
    """Run every step in processes of its own; return the seconds it took and what came out."""
    start = time.perf_counter()
    for title, line in STEPS:
        print(f"\n# {title}\n$ {line}", flush=True)
        subprocess.run(line, shell=True, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start, [Path(name).read_bytes() for name in RESULTS]


def computations() -> int:
    """How often something was computed in this home, ever."""
    done = subprocess.run(["offload", "status", "--json"], check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return int(json.loads(done.stdout)["database"]["runs"])


def main() -> None:
    prepare()
    print("== everything for the first time ==")
    first, results = run_all()
    computed = computations()

    print("\n== all of it again, in fresh processes ==")
    second, again = run_all()
    if again != results:
        raise SystemExit("demo: the second round gave something else than the first")
    new = computations() - computed

    texts, word = max((line.split() for line in results[-1].decode().splitlines()), key=lambda pair: int(pair[0]))
    place = os.path.relpath(PLACE, ROOT)
    print(f"""
The most widespread long word is "{word}": it stands in {texts} texts.

    first   {first:6.1f} s   {computed} computations
    again   {second:6.1f} s   {computed - new} of them recalled, {new} computed, the same results

To try next:

    . .venv/bin/activate
    export OFFLOAD_HOME=$PWD/{place}/home     # what this demo recorded; without it, your own home
    python examples/sweep.py                     # recalled; then change `score` or CS in it, and again
    offload run -- sh -c 'seq 1 10 | tac'        # twice

and go on with docs/tutorial.md.
""")


if __name__ == "__main__":
    main()
