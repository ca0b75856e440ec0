"""A notebook beside a folder of modules: run as a whole, again after a day's edits, in a new kernel each time."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.everyday.workshop import edit

pytestmark = pytest.mark.real

CELLS = """
import offload, pandas as pd
from prepare import load, Scale
THRESHOLD = 2
# %%
@offload.task
def chosen(file):
    table = load(file)
    print("chosen runs")
    return table[table["value"] > THRESHOLD]
# %%
@offload.task
def scaled(table, scale):
    print("scaled runs")
    return float((table["value"] * scale.factor).sum())
# %%
table = chosen(offload.File("values.csv"))
table
# %%
print("result", scaled(table, Scale(10)))
""".split("# %%\n")


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what the cells printed, a line each."""
    streams = (o for cell in notebook.cells for o in cell.get("outputs", ()) if o.output_type == "stream")
    return "".join(stream.text for stream in streams if stream.name == "stdout").splitlines()


def test_a_notebook(tmp_path: Path, home: Path) -> None:
    (tmp_path / "prepare.py").write_text(
        "from dataclasses import dataclass\nimport pandas as pd\n\n\n"
        "@dataclass(slots=True)\nclass Scale:\n    factor: int\n\n\n"
        "def load(file):\n    return pd.read_csv(file).dropna()\n"
    )
    (tmp_path / "values.csv").write_text("value\n1\n2\n3\n4\n")

    def run(cells: list[str]) -> list[str]:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        client = NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
        )
        client.execute()
        return texts(notebook)

    assert run(CELLS) == ["chosen runs", "scaled runs", "result 70.0"]
    assert run(CELLS) == ["result 70.0"]
    edit(tmp_path / "prepare.py", ".dropna()", ".dropna().head(3)")
    assert run(CELLS) == ["chosen runs", "scaled runs", "result 30.0"]
    edited = [cell.replace("THRESHOLD = 2", "THRESHOLD = 1") for cell in CELLS]
    assert run(edited) == ["chosen runs", "scaled runs", "result 50.0"]
    assert run([*edited[:2], "# a remark\n" + edited[2], *edited[3:]]) == ["result 50.0"]
