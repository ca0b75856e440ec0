"""Cells of IPython, and notebooks in a real kernel: what is defined there is identified as anywhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHELL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in json.loads(sys.argv[1]):
    if not shell.run_cell(cell).success:
        sys.exit(3)
"""

IMPORT = "import offload\nRATE = 2"
HELPER = "def helper(x):\n    return x * RATE"
TASK = "@offload.task\ndef f(x):\n    print('ran')\n    return helper(x) + 1"
CALL = "print(f(3))"
BEFORE = (IMPORT, HELPER, TASK)

Cells = Callable[..., list[str]]


@pytest.fixture
def cells(home: Path, tmp_path: Path) -> Cells:
    """Runs cells in a new IPython, and gives the lines that they print."""

    def run(*texts: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", SHELL, json.dumps(texts)], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    return run


def test_the_same_cells_are_recalled_in_another_process(cells: Cells) -> None:
    assert cells(*BEFORE, CALL) == ["ran", "7"]
    assert cells(*BEFORE, CALL) == ["7"]
    assert cells(IMPORT, TASK, "# a remark\n" + HELPER, "\n\n" + CALL) == ["7"]  # other order, other cells


def test_what_is_changed_in_a_cell_counts(cells: Cells) -> None:
    assert cells(*BEFORE, CALL) == ["ran", "7"]
    assert cells(IMPORT, HELPER.replace("* RATE", "* RATE * 10"), TASK, CALL) == ["ran", "61"]
    assert cells(*BEFORE, CALL, "RATE = 5", CALL, HELPER.replace("* RATE", "+ 100"), CALL) == [
        *("7", "ran", "16", "ran", "104")
    ]


def test_a_cell_is_as_a_script_and_magics_are_no_part_of_it(cells: Cells, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("\n".join([*BEFORE, CALL]))
    assert cells("%run script.py") == ["ran", "7"]
    assert cells(*BEFORE, "%time y = f(3)", "print(y)")[-1] == "7"
    assert "ran" not in cells(*BEFORE, "%timeit -n1 -r1 f(3)")


@pytest.mark.real
def test_coroutines_and_many_calls(cells: Cells) -> None:
    slow = "@offload.task\nasync def g(x):\n    return x * RATE"
    assert cells(IMPORT, slow, "print(await g(4))") == ["8"]
    mapped = "print(offload.gather(f.map([1, 2])))"
    said = cells(*BEFORE, mapped, "def helper(x):\n    return -x", mapped)
    assert [line for line in said if line != "ran"] == ["[3, 5]", "[0, -1]"]


@pytest.mark.real
def test_a_notebook_in_a_kernel(home: Path, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    def run() -> list[str]:
        sources = [*BEFORE, "for future in f.map([1, 2]):\n    print(future.result(), future.recalled)"]
        notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        done = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
        with done.setup_kernel():
            for number, cell in enumerate(notebook.cells):
                done.execute_cell(cell, number)
        outputs = notebook.cells[-1].outputs  # on a busy machine, standard error tells that workers start
        texts = [output["text"] for output in outputs if output.get("name") == "stdout"]
        return [line for line in "".join(texts).splitlines() if line != "ran"]

    assert run() == ["3 False", "5 False"]
    assert run() == ["3 True", "5 True"]


PROGRESS = """
import threading, time, offload
from offload.tasks import progress
from offload.tasks.futures import Future

future = Future()
progress.INTERVAL = 0.01

def end_when_it_is_shown():
    while not progress._shown:
        time.sleep(0.01)
    time.sleep(0.1)
    future.set_result(7)

threading.Thread(target=end_when_it_is_shown).start()
print(offload.gather([future]))
"""


@pytest.mark.real
def test_how_far_calls_are_is_shown_below_the_cell(home: Path, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROGRESS)])
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown, printed = notebook.cells[0].outputs
    assert shown["data"]["text/plain"].startswith("[########################] 1/1, 0 recalled, ")  # the last line alone
    assert printed["text"] == "[7]\n"


def test_commands_and_magics_in_a_task(cells: Cells) -> None:
    command = "@offload.task\ndef g(x):\n    found = !echo found\n    return [x, *found]"
    assert cells(*BEFORE, "import warnings\nwarnings.simplefilter('ignore')", command, "print(g(1))") == [
        "[1, 'found']"
    ]
    magic = "@offload.task\ndef g(x):\n    %pwd\n    return x"
    told = "import warnings\nwith warnings.catch_warnings(record=True) as found:\n    warnings.simplefilter('always')\n"
    told += "    g(1)"
    lines = cells(*BEFORE, magic, told, "print(*[one.message for one in found], sep='\\n')")
    assert any("uses a magic command of IPython" in line for line in lines)
