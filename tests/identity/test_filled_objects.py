"""What a call fills in objects of libraries: some is computed again when it is asked for, some is put there again."""

from __future__ import annotations

import subprocess
import sys
import weakref
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from offload.errors import IdentityError
from offload.identity.functions.graph import Graph
from offload.identity.values.computed_attributes import is_unchanged
from offload.identity.values.encode import identify
from offload.identity.values.mutations import changes, do_again

LIBRARY = """
class Mesh:
    def __init__(self, points):
        self.points, self._total, self._fitted = points, None, None
    @property
    def total(self):
        if self._total is None:
            self._total = [sum(self.points)]
        return self._total
    @property
    def fitted(self):
        return self._fitted
    def fit(self):
        self._fitted = [1]

class Part:
    def __init__(self, name):
        self.name, self.inner = name, {}

class Told:
    def __init__(self):
        self.made = None
    def __getstate__(self):
        return dict(vars(self))
"""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    from offload.identity.libraries import distributions

    real = distributions.origin
    module = ModuleType("library_of_meshes")
    exec(LIBRARY, vars(module))
    for one in vars(module).values():
        if isinstance(one, type):
            one.__module__ = module.__name__
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, found in list(sys.modules.items()):
        if name.startswith("offload.") and getattr(found, "origin", None) is real:
            monkeypatch.setattr(found, "origin", lambda name: "meshes==1" if name == module.__name__ else real(name))
    return module


def test_what_a_property_computes_is_no_change_and_what_a_method_sets_is_one(library: Any) -> None:
    mesh = library.Mesh([1, 2])
    before = identify(mesh)
    assert mesh.total == [3]
    assert identify(mesh) != before
    assert is_unchanged(mesh, before)
    assert mesh._total == [3]
    mesh.fit()  # behind a property, too, that does not compute it
    assert not is_unchanged(mesh, before)
    mesh = library.Mesh([1, 2])
    mesh._total = [4]  # not what the property would compute
    assert not is_unchanged(mesh, before)


def checksum_of(function: Any) -> str:
    return Graph(function).checksum


class Held:
    """What the functions below reach."""


def changed_by(function: Any) -> tuple[Any, Graph]:
    graph = Graph(function)
    function(1)
    return changes(graph, lambda: Graph(function).checksum), graph


def test_objects_of_libraries_that_nobody_else_holds_are_put_there_again(library: Any) -> None:
    for made in (library.Told(), library.Part("a")):

        def fill(x: int, made: Any = made, part: Any = library.Part) -> None:
            made.made = part("b")
            made.made.inner["c"] = [part("d"), x]

        found, _ = changed_by(fill)
        assert found is not None
        changed, after, _ = found
        vars(made).update({"made": None} if isinstance(made, library.Told) else {})
        if not isinstance(made, library.Told):
            del made.made
        graph = Graph(fill)
        assert do_again(graph, changed, partial(checksum_of, fill), after)
        assert made.made.inner["c"][0].name == "d"


def test_what_somebody_else_holds_is_not(library: Any) -> None:
    made, others = library.Told(), []

    def keep(x: int, made: Any = made, part: Any = library.Part) -> None:
        made.made = part("b")
        made.made.inner["c"] = [x]
        others.append(made.made.inner["c"])

    graph = Graph(keep)
    graph.ignored = {}
    keep(1)
    held = others.pop()
    assert changes(graph, lambda: Graph(keep).checksum) is None
    assert held == [1]


def test_what_is_referred_to_weakly_is_not(library: Any) -> None:
    made, refs = library.Told(), Held()

    def keep(x: int, made: Any = made, part: Any = library.Part) -> None:
        made.made = part("b")

    graph = Graph(keep)
    keep(1)
    vars(refs)["ref"] = weakref.ref(made.made)
    assert changes(graph, lambda: Graph(keep).checksum) is None


PROGRAMS = {
    "scipy": "from scipy.spatial import Delaunay\nimport numpy as np\n"
    "OBJ = Delaunay(np.array([[0, 0], [0, 5], [5, 0], [5, 5.]]))\n"
    "def use(obj, x): return obj.find_simplex(np.array([[x, 1.0]])).tolist()\n",
    "sklearn": "from sklearn.neighbors import KNeighborsClassifier\nimport numpy as np\n"
    "OBJ = KNeighborsClassifier(1).fit(np.arange(6.)[:, None], [0, 0, 0, 1, 1, 1])\n"
    "def use(obj, x): return obj.predict([[float(x)]]).tolist()\n",
    "xarray": "import xarray as xr, numpy as np\n"
    "OBJ = xr.DataArray(np.arange(5.), dims='t', coords={'t': np.arange(5)})\n"
    "def use(obj, x): return obj.groupby(obj.t % 2).mean().values.tolist()\n",
    "matplotlib": "from matplotlib.colors import ListedColormap\nOBJ = ListedColormap(['red', 'blue'])\n"
    "def use(obj, x): return obj(x / 10)\n",
    "statsmodels": "import statsmodels.api as sm, numpy as np\n"
    "OBJ = sm.OLS(np.arange(6.) ** 2, sm.add_constant(np.arange(6.))).fit()\n"
    "def use(obj, x): return float(obj.rsquared)\n",
    "cattrs": "import cattrs, attrs\n@attrs.define\nclass P:\n    a: int\nOBJ = cattrs.Converter()\n"
    "def use(obj, x): return obj.structure({'a': x}, P).a\n",
    "uncertainties": "from uncertainties import ufloat\nOBJ = ufloat(1.0, 0.1)\ndef use(obj, x): return (obj * x).s\n",
    "msgspec": "import msgspec\nOBJ = msgspec.json.Decoder(dict[str, int])\n"
    "def use(obj, x): return obj.decode(b'{\"a\": 1}')['a'] + x\n",
    "httpx": "import httpx\nOBJ = httpx.Client()\n"
    "def use(obj, x): return str(obj.build_request('GET', 'http://a/').url)\n",
}
_ONLY_GLOBALS = {"matplotlib", "statsmodels", "cattrs", "msgspec", "httpx"}
CALLS = """
import offload
@offload.task
def of_global(x):
    print("RAN")
    return use(OBJ, x)
@offload.task
def of_argument(obj, x):
    print("RAN")
    return use(obj, x)
print(of_global(3))
if {arguments}:
    print(of_argument(OBJ, 3))
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_they_are_recalled_in_another_process(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[name] + CALLS.format(arguments=name not in _ONLY_GLOBALS))
    environment = {"OFFLOAD_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = []
    for seed in "12":
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(program)],
            env={**environment, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        ran.append(done.stdout.splitlines())
    assert ran[0].count("RAN") == 1 + (name not in _ONLY_GLOBALS)
    assert ran[1] == [line for line in ran[0] if line != "RAN"]


def test_how_often_a_tree_was_asked_has_no_identity() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    tree = neighbors.KDTree([[1.0], [2.0]])
    with pytest.raises(IdentityError):
        Graph(lambda: tree.get_n_calls())
