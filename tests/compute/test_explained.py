"""What ``why`` and ``verify`` are to know of a function is stored once, and found again by later processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from offload.identity.values.decode import decode
from offload.registry.session import current

SCRIPT = """
import sys
import offload

@offload.task
def add(x):
    return x + {number}

add(int(sys.argv[1]))
print("cloudpickle" in sys.modules)
"""


def run(script: Path, argument: int) -> bool:
    """Run the script, and tell whether it has pickled its function."""
    done = subprocess.run([sys.executable, script, str(argument)], capture_output=True, text=True, check=True)
    return done.stdout == "True\n"


def explained() -> list[str]:
    """What each run tells, the last one first."""
    return [decode(one.details)["parts"] for one in current().database.runs()]


@pytest.mark.usefixtures("home")
def test_a_later_process_uses_what_an_earlier_one_has_stored(tmp_path: Path) -> None:
    script = tmp_path / "adds.py"
    script.write_text(SCRIPT.format(number=1))
    assert run(script, 1)
    assert not run(script, 2)
    assert len(set(explained())) == 1
    script.write_text(SCRIPT.format(number=2))
    assert run(script, 3)
    first, *others = explained()
    assert first not in others
    (data,) = current().store.get([first])
    current().store.delete([decode(data or b"")["code"]])  # as gc does
    assert run(script, 4)
    assert explained()[:2] == [first, first]
    assert not run(script, 5)
