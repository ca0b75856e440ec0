"""A project whose commands and tasks hand files to each other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

PROGRAM = '''
import csv
import json
import os
import sys

import offload

os.chdir(os.path.dirname(os.path.abspath(__file__)))
ran = []


@offload.task
def summary(table):
    """Make a file of a file that a command has made."""
    with open(table, newline="") as file:
        rows = [(name, int(number)) for name, number in csv.reader(file)]
    place = offload.output(f"summaries/{os.path.basename(table)}.json")
    with open(place, "w") as file:
        json.dump({"rows": len(rows), "sum": sum(number for _, number in rows)}, file)
    return place


@offload.task
def chart(summaries):
    """Draw files that tasks have made, into a directory."""
    pages = offload.output("charts/")
    for one in summaries:
        with open(one) as file:
            known = json.load(file)
        with open(os.path.join(pages, one.name + ".svg"), "w") as file:
            file.write(f"<svg width='{known['sum']}' height='{known['rows']}'/>\\n")
    return pages


def main():
    parts = ["north", "south"]
    makes = "awk -F, -v part={0} '$1 == part {{ print $2 \\",\\" $3 }}' sales.csv > tables/{0}.csv"
    made = [
        offload.run(["sh", "-c", makes.format(part)], input=["sales.csv"], output=[f"tables/{part}.csv"])
        for part in parts
    ]
    summaries = summary.map([offload.File(f"tables/{part}.csv") for part in parts])
    charts = chart.submit(summaries)
    pages = charts.result()
    page = offload.run(["sh", "-c", "cat charts/*.svg > page.html"], input=["charts"], output=["page.html"])
    print(open("page.html").read(), end="")
    print(*[one.recalled for one in made], *[bool(one.recalled) for one in (*summaries, charts)], page.recalled)


if __name__ == "__main__":
    main()
'''

SALES = "north,pear,3\nnorth,fig,4\nsouth,plum,5\n"
PAGE = "<svg width='7' height='2'/>\n<svg width='5' height='1'/>\n"
MADE = ("tables", "summaries", "charts", "page.html")


def work_with_files(folder: Path, run: Any) -> None:
    """Run the project as its user would: first, again, after all that it made is gone, and after an edit."""
    (folder / "sales.csv").write_text(SALES)
    (folder / "pipeline.py").write_text(PROGRAM)
    assert run() == f"{PAGE}{' '.join(['False'] * 6)}\n"
    assert run() == f"{PAGE}{' '.join(['True'] * 6)}\n"
    for name in MADE:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink()
    assert run() == f"{PAGE}{' '.join(['True'] * 6)}\n"
    assert sorted(path.name for path in (folder / "summaries").iterdir()) == ["north.csv.json", "south.csv.json"]
    assert sorted(path.name for path in (folder / "charts").iterdir()) == ["north.csv.json.svg", "south.csv.json.svg"]
    (folder / "sales.csv").write_text(SALES.replace("plum,5", "plum,6"))
    changed = PAGE.replace("'5'", "'6'")
    # The command for the north has read the edited file, and has made the same of it: what comes after is recalled.
    assert run() == f"{changed}False False True False False False\n"
