"""The benchmarks run (tiny, without peers), their report is right, and `stress.py` finds nothing wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks import run as runner
from benchmarks.harness import BenchmarkError, Row, Sample, check_recalls, collect, interleave, timed
from benchmarks.report import document, lines, markdown, time_text
from tests.requirements import requires

REAL = pytest.mark.real
BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
NAMES = sorted(path.stem.removeprefix("bench_") for path in BENCHMARKS.glob("bench_*.py"))


def run(script: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


LAB = ["remote", "slurm"]  # those that need hosts of the lab


@pytest.mark.parametrize("name", [*(n for n in NAMES if n not in LAB), *(pytest.param(n, marks=REAL) for n in LAB)])
def test_every_benchmark_runs(name: str) -> None:
    if name in LAB:
        requires(os.geteuid() == 0 and sys.platform == "linux", "the lab needs root on Linux")
    done = run("run.py", "--smoke", "--only", name, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "not written" in done.stdout
    assert re.search(r"\| [\d.]+ (s|ms|us) ", done.stdout), "no figure"


@pytest.mark.real
def test_many_processes_killed_at_random() -> None:
    done = run("stress.py", "--seconds", "8", "--arguments", "40", timeout=110)
    assert done.stdout, done.stderr
    counts = json.loads(done.stdout)
    assert done.returncode == 0, f"{counts}\n{done.stderr}"
    assert counts["kills"] > 5
    assert counts["calls"] > 100
    assert counts["wrong"] == counts["wrong when asked again"] == 0
    assert counts["commands recalled when asked again"] >= 40
    assert counts["recorded"] == 40 + 20 * 40


def test_sides_take_turns() -> None:
    order: list[str] = []

    def side(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    samples = interleave({"a": lambda: side("a", 1.0), "b": lambda: side("b", 2.0)}, 4, 1, {"b": 2})
    assert "".join(order) == "ab" + "ab" + "a" + "ab" + "a"  # a warm-up, then b in every second round
    assert samples["a"].values == (1.0,) * 4
    assert samples["b"].values == (2.0,) * 2


def test_figures_of_sides_are_kept_apart() -> None:
    numbers = iter([0.0, 1.0, 2.0, 3.0])
    figures = collect({"a": lambda: {"x": next(numbers)}, "b": lambda: {"x": next(numbers), "y": 0.5}}, 2)
    assert figures["a"]["x"].values == (0.0, 2.0)
    assert figures["b"]["x"].values == (1.0, 3.0)
    assert figures["b"]["y"].median == 0.5


def row(ours: float, theirs: float | None, at_most: float | None = None, at_most_seconds: float | None = None) -> Row:
    other = None if theirs is None else Sample((theirs, theirs * 2, theirs))
    return Row("it", "do it", Sample((ours,)), "peer", other, at_most, at_most_seconds)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (row(4.0, 1.0, at_most=4), "holds"),
        (row(4.1, 1.0, at_most=4), "DOES NOT HOLD"),
        (row(4.1, None, at_most=4), "not measured"),
        (row(4.1, 1.0), ""),
        (row(30e-6, None, at_most_seconds=30e-6), "holds"),
        (row(31e-6, 1.0, at_most_seconds=30e-6), "DOES NOT HOLD"),
    ],
)
def test_verdicts(measured: Row, verdict: str) -> None:
    assert measured.verdict == verdict


def test_the_report_says_plainly_what_does_not_hold() -> None:
    results = {"one": [row(0.005, 0.001, at_most=4), row(0.001, 0.001, at_most=2), row(0.1, None, at_most=1)]}
    page = markdown(
        "quick", results, {"one": "Why it is fair."}, {"two": "it broke"}, {"CPU": "x"}, {"dask": "1"}, ["redun: no"]
    )
    assert "1 of 3 budgets hold" in page
    assert "5.00 ms | 5.00 x | <= 4 x | **DOES NOT HOLD** |" in page
    assert "**not measured**" in page
    assert "`two` failed" in page
    assert "A peer could not be installed" in page
    assert "This was a quick run" in page
    assert "Why it is fair." in page
    parsed = json.loads(document("quick", results, {}, {}))
    assert [entry["verdict"] for entry in parsed["rows"]] == ["DOES NOT HOLD", "holds", "not measured"]
    assert len(lines(results["one"])) == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0000012, "1.20 us"), (0.0123, "12.3 ms"), (0.9996, "1.00 s"), (0.000123, "123 us"), (75.0, "75.0 s")],
)
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_a_failing_or_missing_command_is_no_figure(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin"}
    with pytest.raises(BenchmarkError, match="exit code 3"):
        timed(["sh", "-c", "exit 3"], environ, tmp_path)
    with pytest.raises(BenchmarkError, match="not found"):
        timed(["no-such-command-at-all"], environ, tmp_path)
    assert timed(["true"], environ, tmp_path) > 0


def test_what_does_not_recall_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="does not recall"):
        check_recalls(["env"], {"PATH": "/usr/bin:/bin"}, tmp_path)


def test_what_was_measured_is_kept_until_the_source_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "PLACE", tmp_path)
    monkeypatch.setattr(environments, "source", lambda: "first" * 10)
    assert runner.load("each") is None
    rows = [row(1.0, 2.0, at_most=4), row(0.5, None)]
    runner.keep("each", rows)
    assert runner.load("each") == rows
    monkeypatch.setattr(environments, "source", lambda: "second" * 10)
    assert runner.load("each") is None
