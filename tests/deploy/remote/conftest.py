"""What tests of deployments on other machines share."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from tests.lab.lab import Lab

PYTHON = ["--environment", "python:/shared/venv/bin/python"]

MAP = """
import time
import offload

@offload.task(effects="ignore")
def slow(number):
    time.sleep(0.5)
    with open("/shared/log", "a") as file:
        file.write(f"{number}\\n")
    return number

if __name__ == "__main__":
    assert offload.gather(slow.map(range(40))) == list(range(40))
    print("all there")
"""


@pytest.fixture
def ready(lab: Lab) -> Lab:
    """A lab whose hosts have offload."""
    assert lab.offload_venv
    return lab


class Mapping:
    """Forty half-second calls on a deployment, under way."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._lab = lab
        (lab.home / "map.py").write_text(MAP)
        words = [str(lab.laptop_venv / "bin/python"), "map.py"]
        pipe = subprocess.PIPE
        self.process = lab.start(words, env={"OFFLOAD_DEPLOYMENT": name}, stdout=pipe, stderr=pipe, text=True)
        wait_for(lambda: len(self.done()) >= 4, "the first calls")

    def done(self) -> list[int]:
        """The calls that have been run, in this order."""
        log = self._lab.shared / "log"
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def end(self, seconds: float = 120.0) -> str:
        """Wait for the end; give what it said to its user."""
        out, err = self.process.communicate(timeout=seconds)
        assert out == "all there\n", err
        assert sorted(set(self.done())) == list(range(40))
        return str(err)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


@pytest.fixture
def start_map(ready: Lab) -> Callable[[str], Mapping]:
    return lambda name: Mapping(ready, name)
