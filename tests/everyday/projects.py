"""Projects as people have them: their files, what they compute, and the edits of a working day."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from textwrap import dedent

NOTE = """
def note(word):
    with open(__LOG__, "a") as log:
        log.write(word + "\\n")
"""


@dataclasses.dataclass(frozen=True)
class Edit:
    """An edit: of which file, what, and what the project's script gives and executes after it.

    Attributes
    ----------
    file : str
        Below the project's directory.
    old, new : str
        A text that stands once in it, and what takes its place.
    results : dict of str to object
        The results that are others than before.
    executed : str
        The calls that are executed, each a word; empty where nothing is to be computed.
    """

    file: str
    old: str
    new: str
    results: dict[str, object] = dataclasses.field(default_factory=dict)
    executed: str = ""


@dataclasses.dataclass(frozen=True)
class Project:
    """A project and its script, ``main.py``.

    Attributes
    ----------
    name : str
        What it is called.
    files : dict of str to str
        What its files hold. ``main.py`` prints its results as JSON; with the argument ``map`` workers compute them.
    results : dict of str to object
        What they are at first.
    executed : str
        The calls that are executed for them.
    edits : tuple of Edit
        One after the other.
    is_installed : bool
        Whether it is installed editable, and not a folder of scripts.
    on_workers : bool
        Whether workers can have it.
    """

    name: str
    files: dict[str, str]
    results: dict[str, object]
    executed: str
    edits: tuple[Edit, ...]
    is_installed: bool = False
    on_workers: bool = True

    def write(self, directory: Path, log: str) -> Path:
        """Write it below a directory; what is executed goes to a log."""
        place = directory / self.name
        for path, text in self.files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(dedent(text).lstrip("\n").replace("__LOG__", repr(log)))
        return place


def main(imports: str, *calls: str, before: str = "") -> str:
    """Return a script that makes calls (``name: task, argument, ...``) and prints their results."""
    lines = ["import json, sys", "import offload", *imports.splitlines(), "", *dedent(before).splitlines(), ""]
    lines += ["if __name__ == '__main__':", "    calls = {"]
    for call in calls:
        name, _, words = call.partition(": ")
        lines.append(f"        {name!r}: ({words},),")
    lines += ["    }", "    if 'map' in sys.argv:"]
    lines.append("        futures = [task.submit(*words) for task, *words in calls.values()]")
    lines += ["        found = offload.gather(futures)", "    else:"]
    lines += ["        found = [task(*words) for task, *words in calls.values()]"]
    lines += ["    print(json.dumps(dict(zip(calls, found)), default=str))", ""]
    return "\n".join(lines)


FOLDER = Project(
    "folder",
    {
        "main.py": main(
            "from steps import clean, total, label", "clean: clean, [3, None, 1]", "total: total, 4", "label: label, 2"
        ),
        "steps.py": NOTE
        + """
import offload
import settings
from helpers.units import to_metres, describe

@offload.task
def clean(values):
    note("clean")
    return sorted(value for value in values if value is not None)

@offload.task
def total(count):
    note("total")
    return sum(to_metres(n) for n in range(count)) + settings.OFFSET

@offload.task
def label(count):
    note("label")
    return describe(count)
""",
        "settings.py": "OFFSET = 1\nUNUSED = 5\n",
        "helpers/units.py": """
FACTOR = {"feet": 2}

def to_metres(value, unit="feet"):
    return value * FACTOR[unit]  # a comment

def describe(count, words=("no", "one", "two")):
    return f"{words[count]} metres"
""",
    },
    {"clean": [1, 3], "total": 13, "label": "two metres"},
    "clean total label",
    (
        Edit("helpers/units.py", "# a comment", "# another comment"),
        Edit("settings.py", "UNUSED = 5", "UNUSED = 6"),
        Edit("settings.py", "OFFSET = 1", "OFFSET = 2", {"total": 14}, "total"),
        Edit("helpers/units.py", '"feet": 2', '"feet": 3', {"total": 20}, "total"),
        Edit("helpers/units.py", '"two"', '"a pair of"', {"label": "a pair of metres"}, "label"),
        Edit("steps.py", "sorted(value", "sorted(-value", {"clean": [-3, -1]}, "clean"),
    ),
)

PACKAGE = Project(
    "package",
    {
        "pyproject.toml": """
            [project]
            name = "climate"
            version = "0.1"

            [project.entry-points."climate.models"]
            linear = "climate.models:linear"

            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"

            [tool.setuptools.package-data]
            climate = ["*.txt"]
        """,
        "src/climate/__init__.py": "from climate.station import Station\n",
        "src/climate/station.py": """
            import enum
            import functools
            import threading
            from dataclasses import dataclass, field

            LOCK = threading.Lock()

            class Kind(enum.Enum):
                LAND = ("land", 1)
                SEA = ("sea", 2)

                def __init__(self, label, weight):
                    self.label = label
                    self.weight = weight

            class StationError(ValueError):
                pass

            @dataclass(slots=True, frozen=True)
            class Station:
                name: str
                kind: Kind = Kind.LAND
                values: tuple = field(default=(1.0, 2.0))

                def mean(self):
                    return sum(self.values) / len(self.values) * self.kind.weight

            @functools.lru_cache
            def scale(kind):
                with LOCK:
                    return 10 * kind.weight
        """,
        "src/climate/models.py": """
            from importlib import resources

            def table():
                return [float(word) for word in resources.files("climate").joinpath("table.txt").read_text().split()]

            def linear(x):
                return 2 * x + table()[0]
        """,
        "src/climate/table.txt": "0.5 1.5\n",
        "main.py": main(
            "from importlib import resources\nfrom climate.models import linear\n"
            "from climate.station import Kind, Station, StationError, scale",
            "mean: mean, Station('a', Kind.SEA)",
            "scaled: scaled, Kind.SEA",
            "checked: checked, -1",
            "modelled: modelled, 1.0",
            before=NOTE
            + """
@offload.task
def mean(station):
    note("mean")
    return station.mean()

@offload.task
def scaled(kind):
    note("scaled")
    return scale(kind)

@offload.task
def checked(value):
    note("checked")
    try:
        if value < 0:
            raise StationError("negative")
    except StationError as error:
        return str(error)

@offload.task(depends_on=[resources.files("climate") / "table.txt"])
def modelled(x):
    note("modelled")
    return linear(x)
""",
        ),
    },
    {"mean": 3.0, "scaled": 20, "checked": "negative", "modelled": 2.5},
    "mean scaled checked modelled",
    (
        Edit("src/climate/station.py", "return 10 * kind", "return 100 * kind", {"scaled": 200}, "scaled"),
        Edit("src/climate/station.py", '("sea", 2)', '("sea", 3)', {"mean": 4.5, "scaled": 300}, "mean scaled"),
        Edit("src/climate/models.py", "return 2 * x", "return 3 * x", {"modelled": 3.5}, "modelled"),
        Edit("src/climate/table.txt", "0.5 1.5", "2.5 1.5", {"modelled": 5.5}, "modelled"),
    ),
    is_installed=True,
)

ANALYSIS = Project(
    "analysis",
    {
        "data/flowers.csv": "length,width,kind\n" + "".join(f"{n},{n % 3},{n % 2}\n" for n in range(1, 31)),
        "flowers/__init__.py": "",
        "flowers/features.py": """
            LIMIT = 5

            def features(table):
                table = table.query("length > @LIMIT")
                return table.assign(area=table["length"] * table["width"])
        """,
        "flowers/training.py": """
            from sklearn.linear_model import LogisticRegression
            from flowers.features import features

            PARAMETERS = {"C": 1.0, "max_iter": 200}

            def train(table):
                chosen = features(table)
                model = LogisticRegression(**PARAMETERS)
                return model.fit(chosen[["length", "area"]], chosen["kind"])
        """,
        "main.py": main(
            "import pandas as pd\nfrom flowers.features import features\nfrom flowers.training import train",
            "rows: rows, offload.File('data/flowers.csv')",
            "area: area, offload.File('data/flowers.csv')",
            "setting: setting, offload.File('data/flowers.csv')",
            before=NOTE
            + """
@offload.task
def rows(file):
    note("rows")
    return len(features(pd.read_csv(file)))

@offload.task
def area(file):
    note("area")
    return int(pd.read_csv(file).pipe(features)["area"].sum())

@offload.task
def setting(file):
    note("setting")
    return train(pd.read_csv(file)).C
""",
        ),
    },
    {"rows": 25, "area": 436, "setting": 1.0},
    "rows area setting",
    (
        Edit("flowers/training.py", '"C": 1.0', '"C": 0.5', {"setting": 0.5}, "setting"),
        Edit("flowers/features.py", "LIMIT = 5", "LIMIT = 20", {"rows": 10, "area": 231}, "rows area setting"),
        Edit("data/flowers.csv", "30,0,0\n", "30,1,0\n", {"area": 261}, "rows area setting"),
    ),
)

APPLICATION = Project(
    "application",
    {
        "shop/__init__.py": "",
        "shop/models.py": """
            from __future__ import annotations
            from decimal import Decimal
            from pydantic import BaseModel, Field, computed_field, field_validator

            RATE = Decimal("0.19")

            class Item(BaseModel):
                name: str
                price: Decimal = Field(gt=0)

                @field_validator("name")
                @classmethod
                def tidy(cls, value: str) -> str:
                    return value.strip().lower()

                @computed_field
                @property
                def tax(self) -> Decimal:
                    return self.price * RATE

            class Order(BaseModel):
                items: list[Item]

                def total(self) -> Decimal:
                    return sum((item.price + item.tax for item in self.items), Decimal(0))
        """,
        "shop/registry.py": """
            REPORTS = {}

            def report(name):
                def register(function):
                    REPORTS[name] = function
                    return function
                return register
        """,
        "shop/reports.py": """
            from shop.registry import report

            @report("names")
            def names(order):
                return ", ".join(item.name for item in order.items)

            @report("count")
            def count(order):
                return f"{len(order.items)} items"
        """,
        "main.py": main(
            "from shop import reports\nfrom shop.registry import REPORTS\nfrom shop.models import Item, Order",
            "total: total, ORDER",
            "names: render, ORDER, 'names'",
            before=NOTE
            + """
ORDER = Order(items=[Item(name=" Pear ", price="2"), Item(name="Fig", price="1")])

@offload.task
def total(order):
    note("total")
    return str(order.total())

@offload.task
def render(order, name):
    note("names")
    return REPORTS[name](order)
""",
        ),
    },
    {"total": "3.57", "names": "pear, fig"},
    "total names",
    (
        Edit("shop/models.py", '"0.19"', '"0.20"', {"total": "3.60"}, "total names"),
        Edit("shop/models.py", ".strip().lower()", ".strip().upper()", {"names": "PEAR, FIG"}, "total names"),
        Edit("shop/reports.py", '", ".join', '" and ".join', {"names": "PEAR and FIG"}, "names"),
    ),
)

PROJECTS = {one.name: one for one in (FOLDER, PACKAGE, ANALYSIS, APPLICATION)}
