"""Who runs a deployment: one process, until it ends."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

from offload.registry.deployments import Place
from offload.registry.locks import settle

HOLD = """
import sys
from offload.registry.deployments import Place
from offload.registry.locks import settle

print(settle(Place(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_one_process_runs_a_deployment(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    Path(place.end).write_text("")  # meant for one that has ended since
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin is not None and first.stdout is not None
        assert first.stdout.readline() == "True\n"
        assert not os.path.exists(place.end)
        Path(place.end).write_text("")
        assert not settle(place, seconds=0)
        assert os.path.exists(place.end)  # which is meant for the first
        first.stdin.close()
    assert settle(place, seconds=60)
    assert not os.path.exists(place.end)


def test_who_only_looks_is_waited_for(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    timer = threading.Timer(0.3, os.close, [descriptor])
    timer.start()
    assert settle(place, seconds=60)
    timer.join()
