"""Labs whose session is dead are swept away by the next one; the session's pid and start time say whether it lives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from tests.lab import system
from tests.lab.machine import LabError

ROOT = Path("/tmp")  # a short path, the same for every session
PREFIX = "offload-lab-"


def new_directory() -> Path:
    """A directory for a lab of this process."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=ROOT))
    directory.chmod(0o755)
    (directory / "owner.json").write_text(json.dumps({"pid": os.getpid(), "started": system.started(os.getpid())}))
    return directory


def sweep() -> list[Path]:
    """Remove the labs of dead sessions; return where they were."""
    found = []
    for record in ROOT.glob(f"{PREFIX}*/owner.json"):
        try:
            owner = json.loads(record.read_text())
            foreign = record.stat().st_uid != os.geteuid()
        except (FileNotFoundError, json.JSONDecodeError):
            continue  # it is being made, or removed, right now
        if not foreign and system.started(owner["pid"]) != owner["started"]:
            end_all(record.parent)
            shutil.rmtree(record.parent, ignore_errors=True)
            found.append(record.parent)
    return found


def end_all(directory: Path, *, but: frozenset[int] = frozenset(), within: float = 10.0) -> None:
    """Kill every process in the namespaces of the lab in `directory`, and see them gone."""
    deadline = time.monotonic() + within
    while left := set(system.inside(directory)) - but - {os.getpid()}:
        if time.monotonic() > deadline:
            raise LabError(f"processes of the lab {directory} do not end: {sorted(left)}")
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
