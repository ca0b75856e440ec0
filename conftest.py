"""For every test and doctest: the user's own home is out of reach, and skipped real tests are named."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

collect_ignore = ["tests/typed.py", "tests/old"]  # for type checkers only; what an earlier version made

pytest_plugins = ["tests.lab.fixtures", "tests.lab.slurm", "tests.lab.sge"]

_directory = pytest.StashKey[Path]()
_deselected = pytest.StashKey[int]()
_DESELECTED = "offload_deselected"


# The signals that tests send. `nohup` and shells that start something in the background have them ignored, from which
# every process below would inherit it.
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


# What the one who runs the tests may have set for other programs, and what they would look different with.
FOREIGN = ("DASK_", "OFFLOAD_", "PYTHON", "XDG_")
SETTINGS = {"ALL_PROXY", "COLUMNS", "FORCE_COLOR", "HTTPS_PROXY", "HTTP_PROXY", "LINES", "NO_COLOR", "NO_PROXY"}


def pytest_configure(config: pytest.Config) -> None:
    """Point everything that says where a home lies at a directory of this run, and let signals do what they do."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    directory = Path(tempfile.mkdtemp(prefix="offload-tests-"))
    config.stash[_directory] = directory
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.upper() in SETTINGS:
            del os.environ[name]
    (directory / "user").mkdir()
    os.environ["HOME"] = str(directory / "user")
    os.environ["OFFLOAD_HOME"] = str(directory / "home")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what `pytest_configure` made."""
    shutil.rmtree(config.stash[_directory], ignore_errors=True)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the real tests that ``-m`` or ``-k`` left out."""
    for item in items:
        if item.get_closest_marker("real"):
            item.config.stash[_deselected] = item.config.stash.get(_deselected, 0) + 1


LONG = {"slurm", "sge"}
"""Fixtures of tests that take long, and lie beside each other: one process would run them alone at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``-n``, share the long tests out: each process begins with an equal piece of the list."""
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if LONG.intersection(getattr(item, "fixturenames", ()))]
    found = set(long)
    others = [item for item in items if item not in found]
    size = -(-len(others) // processes)
    if processes > 1 and long:
        items[:] = [
            item for n in range(processes) for item in (*long[n::processes], *others[n * size : (n + 1) * size])
        ]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """With ``-n`` it is the workers that leave tests out, every one the same; take their count over."""
    if _DESELECTED in getattr(node, "workeroutput", {}):
        node.config.stash[_deselected] = node.workeroutput[_DESELECTED]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that shows the summary, where this is a worker of it, what was left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_DESELECTED] = session.config.stash.get(_deselected, 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say loudly which tests with real parts did not run, and why."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if "real" in getattr(report, "keywords", ())
    ]
    if skipped:
        terminalreporter.section("REAL TESTS SKIPPED ON THIS MACHINE", sep="!", red=True, bold=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            terminalreporter.line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
    count = config.stash.get(_deselected, 0)
    if count:
        terminalreporter.line(f"{count} tests with real parts were left out; `make test` runs them.", yellow=True)
