"""Projects as people have them: a folder of scripts, packages, an analysis, an application, a web shop."""

from tests.everyday.project import NOTE, Edit, Project, main
from tests.everyday.webshop import WEBSHOP

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

HEAVY: dict[str, object] = {
    "mean": 4.5,
    "scaled": 300,
    "moved": "Station(name='a', kind=<Kind.SEA: ('sea', 3)>, values=(1.0, 2.0))",
}
MOVED = "Station(name='a', kind=<Kind.SEA: ('sea', 2)>, values=(1.0, 2.0))"
PACKAGE = Project(
    "package",
    {
        "pyproject.toml": """
            [project]
            name = "climate"
            version = "0.1"

            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"
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
        "main.py": main(
            "from climate.station import Kind, Station, StationError, scale",
            "mean: mean, Station('a', Kind.SEA)",
            "scaled: scaled, Kind.SEA",
            "checked: checked, -1",
            "moved: moved, Station('a')",
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

@offload.task
def moved(station):
    note("moved")
    assert type(station) is Station and station.kind is Kind.LAND
    return Station(station.name, Kind.SEA)
""",
        ),
    },
    {
        "mean": 3.0,
        "scaled": 20,
        "checked": "negative",
        "moved": "Station(name='a', kind=<Kind.SEA: ('sea', 2)>, values=(1.0, 2.0))",
    },
    "mean scaled checked moved",
    (
        Edit("src/climate/station.py", "return 10 * kind", "return 100 * kind", {"scaled": 200}, "scaled"),
        Edit("src/climate/station.py", '("sea", 2)', '("sea", 3)', HEAVY, "mean scaled moved"),
    ),
    is_installed=True,
)

MILDER: dict[str, object] = {"setting": 0.5, "model": "LogisticRegression(C=0.5, max_iter=200)"}
LATER: dict[str, object] = {"rows": 10, "area": 231, "wide": "   length  width kind  area\n1      30      1    b    30"}
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
            "model: model, offload.File('data/flowers.csv')",
            "wide: wide, pd.DataFrame({'length': [6, 30], 'width': [2, 1], 'kind': ['a', 'b']})",
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

@offload.task
def model(file):
    note("model")
    return train(pd.read_csv(file))

@offload.task
def wide(table):
    note("wide")
    return features(table)
""",
        ),
    },
    {
        "rows": 25,
        "area": 436,
        "setting": 1.0,
        "model": "LogisticRegression(max_iter=200)",
        "wide": "   length  width kind  area\n0       6      2    a    12\n1      30      1    b    30",
    },
    "rows area setting model wide",
    (
        Edit("flowers/training.py", '"C": 1.0', '"C": 0.5', MILDER, "setting model"),
        Edit("flowers/features.py", "LIMIT = 5", "LIMIT = 20", LATER, "rows area setting model wide"),
        Edit("data/flowers.csv", "30,0,0\n", "30,1,0\n", {"area": 261}, "rows area setting model"),
    ),
)

ALL_OF_SHOP = "total names first"
FIRST = "Order(items=[Item(name='pear', price=Decimal('2'), tax=Decimal('0.38'))])"
UPPER: dict[str, object] = {"names": "PEAR, FIG", "first": FIRST.replace("38", "40").replace("pear", "PEAR")}
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
            "first: first, ORDER",
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

@offload.task
def first(order):
    note("first")
    assert isinstance(order.items[0], Item)
    return order.model_copy(update={"items": order.items[:1]})
""",
        ),
    },
    {"total": "3.57", "names": "pear, fig", "first": FIRST},
    "total names first",
    (
        Edit("shop/models.py", '"0.19"', '"0.20"', {"total": "3.60", "first": FIRST.replace("38", "40")}, ALL_OF_SHOP),
        Edit("shop/models.py", ".strip().lower()", ".strip().upper()", UPPER, ALL_OF_SHOP),
        Edit("shop/reports.py", '", ".join', '" and ".join', {"names": "PEAR and FIG"}, "names"),
    ),
)

SIGNAL = Project(
    "signal",
    {
        "pyproject.toml": """
            [project]
            name = "signalkit"
            version = "0.1"

            [project.entry-points."signalkit.filters"]
            smooth = "signalkit.filters:smooth"

            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"

            [tool.setuptools.package-data]
            signalkit = ["*.txt"]
        """,
        "setup.py": """
            from setuptools import Extension, setup

            setup(ext_modules=[Extension("signalkit._fast", ["src/signalkit/_fast.c"])])
        """,
        "src/signalkit/__init__.py": "",
        "src/signalkit/weights.txt": "0.5 1.5\n",
        "src/signalkit/_fast.c": """
            #include <Python.h>

            static PyObject *twice(PyObject *self, PyObject *value) {
                return PyLong_FromLong(PyLong_AsLong(value) * 2);
            }
            static PyMethodDef methods[] = {{"twice", twice, METH_O, ""}, {NULL, NULL, 0, NULL}};
            static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", "", -1, methods};
            PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
        """,
        "src/signalkit/filters.py": """
            from importlib import resources
            from signalkit._fast import twice

            def smooth(x):
                return twice(x) + 1

            def weighted(x):
                words = resources.files("signalkit").joinpath("weights.txt").read_text().split()
                return x * float(words[0])
        """,
        "main.py": main(
            "from importlib import resources\nfrom importlib.metadata import entry_points\n"
            "from signalkit._fast import twice\nfrom signalkit.filters import weighted",
            "direct: direct, 4",
            "plugged: plugged, 4",
            "read: read, 4",
            before="FILTERS = {point.name: point.load() for point in entry_points(group='signalkit.filters')}\n"
            + NOTE
            + """
@offload.task
def direct(x):
    note("direct")
    return twice(x)

@offload.task
def plugged(x):
    note("plugged")
    return FILTERS["smooth"](x)

@offload.task(depends_on=[resources.files("signalkit") / "weights.txt"])
def read(x):
    note("read")
    return weighted(x)
""",
        ),
    },
    {"direct": 8, "plugged": 9, "read": 2.0},
    "direct plugged read",
    (
        Edit("src/signalkit/filters.py", "+ 1", "+ 2", {"plugged": 10}, "plugged"),
        Edit("src/signalkit/weights.txt", "0.5", "2.5", {"read": 10.0}, "read"),
        Edit("src/signalkit/_fast.c", "* 2", "* 3", {"direct": 12, "plugged": 14}, "direct plugged"),
    ),
    is_installed=True,
)

PROJECTS = {one.name: one for one in (FOLDER, PACKAGE, ANALYSIS, APPLICATION, SIGNAL, WEBSHOP)}
