"""A notebook beside a folder of modules: run as a whole, again after a day's edits, in a new kernel each time."""

from __future__ import annotations

import json
from pathlib import Path

from tests.everyday.project import NOTE
from tests.everyday.workshop import Workshop, edit

CELLS = """
import sys
import offload, pandas as pd
from prepare import load, Scale
THRESHOLD = 2
# %%
{note}
def result(task, *words):
    return task.submit(*words).result() if {submitted} else task(*words)
# %%
@offload.task
def chosen(file):
    note("chosen")
    table = load(file)
    return table[table["value"] > THRESHOLD]
# %%
@offload.task
def scaled(table, scale):
    note("scaled")
    assert isinstance(scale, Scale)
    return Scale(float((table["value"] * scale.factor).sum()))
# %%
table = result(chosen, offload.File("values.csv"))
table
# %%
total = result(scaled, table, Scale(10))
print("result", type(total) is Scale, total.factor)
"""
# The kernel is that of the Python that runs this; what the cells print is printed.
RUN = """
import json, sys
import nbformat
from nbclient import NotebookClient

cells = [nbformat.v4.new_code_cell(cell) for cell in json.loads(sys.argv[1])]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
print(*(output.text for output in outputs if output.get("name") == "stdout"))
"""
PREPARE = """
from dataclasses import dataclass
import pandas as pd

@dataclass(slots=True)
class Scale:
    factor: float

def load(file):
    return pd.read_csv(file).dropna()
"""


def work(workshop: Workshop, place: Path) -> None:
    """Run the notebook, edit the module beside it and its cells, and run it again."""
    workshop.executed()
    (place / "prepare.py").write_text(PREPARE)
    (place / "values.csv").write_text("value\n1\n2\n3\n4\n")
    note = NOTE.replace("__LOG__", repr(workshop.noted))
    first = CELLS.format(note=note, submitted=bool(workshop.deployment)).split("# %%\n")

    def run(cells: list[str]) -> tuple[str, list[str]]:
        return workshop.run("-c", RUN, json.dumps(cells), cwd=place).strip(), workshop.executed()

    assert run(first) == ("result True 70.0", ["chosen", "scaled"])
    assert run(first) == ("result True 70.0", [])
    edit(place / "prepare.py", ".dropna()", ".dropna().head(3)")
    assert run(first) == ("result True 30.0", ["chosen", "scaled"])
    edited = [cell.replace("THRESHOLD = 2", "THRESHOLD = 1") for cell in first]
    assert run(edited) == ("result True 50.0", ["chosen", "scaled"])
    assert run([*edited[:2], "# a remark\n" + edited[2], *edited[3:]]) == ("result True 50.0", [])
