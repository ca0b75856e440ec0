"""The report: docs/performance.md for people, results.json for programs. Neither is ever edited by hand."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import Row, Sample


def facts(scratch: Path) -> dict[str, str]:
    """What a reader must know of the machine; no names."""
    model = ""
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "CPU": model or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "file system of the scratch directory": _file_system(scratch),
        "Python": platform.python_version(),
    }


def _file_system(path: Path) -> str:
    found = "unknown"
    if not os.path.exists("/proc/self/mountinfo"):
        return found
    best = -1
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4]
        if (str(path) + "/").startswith(point.rstrip("/") + "/") and len(point) >= best:
            best, found = len(point), right.split()[0]
    return found


def time_text(seconds: float) -> str:
    """A time with three significant digits in the unit that fits.

    >>> time_text(0.0000123), time_text(0.0345), time_text(2.5)
    ('12.3 us', '34.5 ms', '2.50 s')
    """
    for factor, unit in ((1e6, "us"), (1e3, "ms"), (1.0, "s")):
        value = seconds * factor
        if value < 999.5 or unit == "s":
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:.{digits}f} {unit}"
    raise AssertionError


def sample_text(sample: Sample | None, unit: str = "s") -> str:
    """The figures of a side: times, or sizes where the unit is ``MB``."""
    if sample is None:
        return "not measured"
    low, middle, high = (
        time_text(value) if unit == "s" else f"{value:,.0f} {unit}"
        for value in (sample.low, sample.median, sample.high)
    )
    return middle if len(sample.values) < 2 else f"{middle} ({low} to {high})"


def budget_text(row: Row) -> str:
    if row.at_most_seconds is not None:
        return f"<= {time_text(row.at_most_seconds)}"
    return "" if row.at_most is None else f"<= {row.at_most:g} x"


def lines(rows: Sequence[Row]) -> list[list[str]]:
    """The cells of the table, one list a row."""
    table = []
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:#.2g} x" if row.ratio < 0.1 else f"{row.ratio:.2f} x"
        theirs = sample_text(row.theirs, row.unit) if row.peer else ""
        what = f"{row.what} ({row.note})" if row.note else row.what
        verdict = f"**{row.verdict}**" if row.verdict in ("DOES NOT HOLD", "not measured") else row.verdict
        table.append([what, row.peer, theirs, sample_text(row.ours, row.unit), ratio, budget_text(row), verdict])
    return table


HEAD = [
    "what",
    "peer",
    "peer: median (lowest to highest)",
    "offload: median (lowest to highest)",
    "ratio",
    "budget",
    "",
]


def markdown(
    size: str,
    results: Mapping[str, Sequence[Row]],
    texts: Mapping[str, str],
    failures: Mapping[str, str],
    machine: Mapping[str, str],
    versions: Mapping[str, str],
    problems: Sequence[str],
) -> str:
    rows = sorted((row for group in results.values() for row in group), key=lambda row: not row.verdict)
    budgets = [row for row in rows if row.verdict]
    holding = sum(row.verdict == "holds" for row in budgets)
    command = "python benchmarks/run.py" + ("" if size == "full" else f" --{size}")
    out = [
        "# Performance",
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}; not edited by hand. All times of a row were",
        "taken in one run, the sides in turns; the ratio is that of the medians, offload / peer. Small is good.",
        "Every figure of every round is in [results.json](../benchmarks/results.json). Rows with a budget come first.",
        "",
        f"**{holding} of {len(budgets)} budgets hold.**"
        + ("" if size == "full" else f" This was a {size} run: few rounds, smaller sizes."),
        "",
        "; ".join(f"{name}: {value}" for name, value in machine.items()) + ".  ",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
    ]
    for problem in problems:
        out += [f"**A peer could not be installed and is missing below:** {' '.join(problem.split())[:400]}", ""]
    for name, failure in failures.items():
        out += [f"**`{name}` failed; its rows are missing:** {' '.join(failure.split())[:400]}", ""]
    out += ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    out += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines(rows)]
    out += ["", "## What is measured, and why it is fair", ""]
    out += [
        "The commands are for a Python that has offload, with `OFFLOAD_HOME` set to a directory for the purpose.",
        "",
    ]
    for name, group in results.items():
        out += [f"### {name}", "", texts[name].strip(), ""]
        out += ["By hand:", "", "```sh", *dict.fromkeys(row.command for row in group), "```", ""]
    return "\n".join(out).rstrip() + "\n"


def document(
    size: str, results: Mapping[str, Sequence[Row]], machine: Mapping[str, str], versions: Mapping[str, str]
) -> str:
    """The same as JSON: every figure of every round, in the unit of its row."""
    rows = [
        {
            "benchmark": name,
            "what": row.what,
            "command": row.command,
            "note": row.note,
            "unit": row.unit,
            "offload": list(row.ours.values),
            "peer": row.peer,
            "peer_values": None if row.theirs is None else list(row.theirs.values),
            "ratio": row.ratio,
            "at_most": row.at_most,
            "at_most_seconds": row.at_most_seconds,
            "verdict": row.verdict,
        }
        for name, group in results.items()
        for row in group
    ]
    when = datetime.now(UTC).isoformat(timespec="seconds")
    whole = {"when": when, "size": size, "machine": machine, "versions": versions, "rows": rows}
    return json.dumps(whole, indent=1) + "\n"
