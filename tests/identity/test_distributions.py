"""Whose code a module is: Python's, a distribution's, or the project's."""

from __future__ import annotations

import importlib
import json
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import numpy
import pytest

import offload
from offload.identity.functions.graph import Graph
from offload.identity.libraries import distributions
from offload.identity.libraries.distributions import PROJECT, STANDARD, interpreter, origin
from offload.identity.values.encode import identify

Site = Callable[..., None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Put modules, and the metadata of a distribution that lists some of them, in a directory on the path."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def install(
        files: dict[str, str],
        name: str = "",
        listed: list[str] | None = None,
        direct_url: object = None,
        record: str = "RECORD",
    ) -> None:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        if name:
            metadata = folder / name
            metadata.mkdir()
            lines = [f"{path},sha256=x,1" if record == "RECORD" else path for path in listed or files]
            (metadata / record).write_text("".join(f"{line}\n" for line in lines))
            if direct_url is not None:
                (metadata / "direct_url.json").write_text(json.dumps(direct_url))
        importlib.invalidate_caches()
        forget()

    yield install
    for module in set(sys.modules) - before:
        del sys.modules[module]
    forget()


def forget() -> None:
    for cached in (
        distributions._origin_of_path,
        distributions._metadata_folders,
        distributions._listed,
        distributions._files_mark,
    ):
        cached.cache_clear()


@pytest.mark.parametrize(
    "name", ["sys", "os", "json.decoder", "_io", "builtins", "zipimport", "sqlite3", "xml.etree.ElementTree"]
)
def test_the_standard_library(name: str) -> None:
    importlib.import_module(name)
    assert origin(name) == STANDARD


def test_the_standard_library_before_it_is_imported() -> None:
    assert "antigravity" not in sys.modules
    assert origin("antigravity") == STANDARD
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", ["numpy", "numpy.linalg", "numpy.linalg._umath_linalg", "numpy.not_there"])
def test_installed(name: str) -> None:
    assert origin(name) == f"numpy=={numpy.__version__}"


def test_a_distribution_by_another_name_than_its_module() -> None:
    assert origin("yaml").startswith("PyYAML==") or origin("yaml").startswith("pyyaml==")
    assert origin("sklearn.linear_model").startswith("scikit_learn==")


def test_offload_is_no_part_of_what_it_runs() -> None:
    assert offload.__file__
    assert origin("offload") == origin("offload.identity.functions.graph") == STANDARD


@pytest.mark.parametrize("name", [None, "", "__main__", "nobody_has_this", __name__])
def test_the_projects_own(name: str | None) -> None:
    assert origin(name) == PROJECT


def test_a_module_in_a_directory_on_the_path(site: Site) -> None:
    site({"plain_module.py": ""})
    importlib.import_module("plain_module")
    assert origin("plain_module") == PROJECT


@pytest.mark.parametrize("loaded", [False, True])
def test_what_a_record_lists(site: Site, loaded: bool) -> None:
    files = {"fakelib/__init__.py": "", "fakelib/inner.py": "", "fakesingle.py": ""}
    site(files, "Fake_Lib-1.2.post1.dist-info")
    if loaded:
        importlib.import_module("fakelib.inner")
        importlib.import_module("fakesingle")
    assert origin("fakelib") == origin("fakelib.inner") == origin("fakesingle") == "Fake_Lib==1.2.post1"
    assert ("fakelib" in sys.modules) == loaded


def test_what_lies_beside_and_is_not_listed(site: Site) -> None:
    site(
        {"fakelib/__init__.py": "", "fakelib/added.py": "", "fakelib2.py": ""},
        "fakelib-1.dist-info",
        ["fakelib/__init__.py"],
    )
    importlib.import_module("fakelib.added")
    importlib.import_module("fakelib2")
    assert origin("fakelib") == "fakelib==1"
    assert origin("fakelib.added") == origin("fakelib2") == PROJECT


def test_a_module_that_is_known_by_a_second_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site(
        {"fakelib/__init__.py": "", "fakelib/_shared.py": "class View: pass\nView.__module__ = '_shared'"},
        "fakelib-1.dist-info",
    )
    shared = importlib.import_module("fakelib._shared")
    monkeypatch.setitem(sys.modules, "_shared", shared)
    assert origin("_shared") == origin("fakelib") == "fakelib==1"
    graph = Graph(shared.View)
    assert (graph.nodes, graph.modules) == ([], {"fakelib"})


def test_what_cython_shares_belongs_to_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each package has this code; that of the one which is imported first goes by the name.
    site({"fakelib/__init__.py": "", "fakelib/_cyutility.py": "class View: pass"}, "fakelib-1.dist-info")
    shared = importlib.import_module("fakelib._cyutility")
    monkeypatch.setattr(shared.View, "__module__", "_cyutility")
    monkeypatch.setitem(sys.modules, "_cyutility", shared)
    modules: set[str] = set()
    identify(shared.View, modules)
    graph = Graph(shared.View)
    assert (graph.nodes, graph.modules, modules) == ([], set(), set())


def test_a_module_that_an_extension_makes_within_itself(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site({"fakelib/__init__.py": "", "fakelib/core.py": ""}, "fakelib-1.dist-info")
    core = importlib.import_module("fakelib.core")
    inner = ModuleType("fakelib.core.inner")
    inner.__file__ = core.__file__
    inner.__spec__ = None
    monkeypatch.setitem(sys.modules, inner.__name__, inner)
    assert origin(inner.__name__) == "fakelib==1"


def test_types_of_cython_have_an_identity() -> None:
    from scipy.spatial import cKDTree

    function = type(vars(cKDTree)["query"])
    assert identify(function) != identify(cKDTree)


def test_a_namespace_package(site: Site) -> None:
    site({"fakespace/one/__init__.py": "", "fakespace/one/inner.py": ""}, "fake.one-3.dist-info")
    importlib.import_module("fakespace.one.inner")
    assert origin("fakespace") == origin("fakespace.one.inner") == "fake.one==3"


def test_a_package_of_the_operating_system(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its metadata lists no files; only where the operating system installs does it count."""
    site({"fakeos/__init__.py": ""}, "fakeos-0.3-py3.11.egg-info", ["fakeos"], record="top_level.txt")
    importlib.import_module("fakeos")
    assert origin("fakeos") == PROJECT
    forget()
    monkeypatch.setattr(distributions, "_SYSTEM", (str(tmp_path),))
    assert origin("fakeos") == "fakeos==0.3"


def test_metadata_without_a_version(site: Site) -> None:
    site({"fakeos/__init__.py": ""}, "fakeos.egg-info", ["fakeos"], record="top_level.txt")
    site({"fakebare.py": ""}, "fakebare.dist-info")
    importlib.import_module("fakeos")
    importlib.import_module("fakebare")
    assert origin("fakeos") == origin("fakebare") == PROJECT


@pytest.mark.parametrize("folder", ["flatpkg.egg-info", "flatpkg-1.0.egg-info", "flatpkg-1.0.dist-info"])
def test_metadata_in_a_checkout(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """Every ``pip install`` of a setuptools project leaves an egg-info beside its packages."""
    checkout = tmp_path / "checkout"
    (checkout / "flatpkg").mkdir(parents=True)
    (checkout / "flatpkg" / "__init__.py").write_text("")
    (checkout / folder).mkdir()
    (checkout / folder / "top_level.txt").write_text("flatpkg\n")
    (checkout / folder / "RECORD").write_text("flatpkg/__init__.py,sha256=x,0\n")
    monkeypatch.syspath_prepend(str(checkout))
    assert origin("flatpkg") == PROJECT
    importlib.import_module("flatpkg")
    assert origin("flatpkg") == PROJECT


def test_installed_from_an_archive_or_a_repository(site: Site) -> None:
    """Both can be built again under the same version: what was installed counts."""
    infos: list[dict[str, object]] = [{"archive_info": {}}, {"vcs_info": {"vcs": "git", "commit_id": "0" * 40}}]
    marks = set()
    for number, info in enumerate(infos):
        name = f"fakevcs{number}"
        listed = [f"{name}.py", "../../../bin/script"]
        site({f"{name}.py": ""}, f"{name}-1.dist-info", listed, direct_url={"url": "https://example.org/x", **info})
        importlib.import_module(name)
        owner, _, mark = origin(name).partition("+files.")
        assert owner == f"{name}==1" and len(mark) == 12
        record = Path(str(sys.modules[name].__file__)).parent / f"{name}-1.dist-info" / "RECORD"
        record.write_text(record.read_text().replace("sha256=x,1\n../", "sha256=x,1\n../../"))
        forget()
        assert origin(name) == f"{owner}+files.{mark}", "where scripts lie does not count"
        record.write_text(record.read_text().replace("sha256=x", "sha256=y"))
        forget()
        marks |= {mark, origin(name).partition("+files.")[2]}
    assert len(marks) == 4


def test_built_by_conda(site: Site, tmp_path: Path) -> None:
    """Its packages say the directory in which they were built, and count by their version."""
    direct = {"url": "file:///home/conda/feedstock_root/work", "dir_info": {}}
    site({"fakeconda.py": ""}, "fakeconda-1.dist-info", direct_url=direct)
    (tmp_path / "site-packages" / "fakeconda-1.dist-info" / "INSTALLER").write_text("conda\n")
    importlib.import_module("fakeconda")
    assert origin("fakeconda") == "fakeconda==1"


def test_a_link_to_a_cache_or_to_a_checkout(site: Site, tmp_path: Path) -> None:
    """A link is the distribution's as long as it leads to what was installed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "fakelink.py").write_text("")
    site({}, "fakelink-1.dist-info", ["fakelink.py"])
    record = tmp_path / "site-packages" / "fakelink-1.dist-info" / "RECORD"
    record.write_text(f"fakelink.py,sha256={urlsafe_b64encode(sha256(b'').digest()).decode().rstrip('=')},0\n")
    (tmp_path / "site-packages" / "fakelink.py").symlink_to(elsewhere / "fakelink.py")
    importlib.import_module("fakelink")
    assert origin("fakelink") == "fakelink==1"
    (elsewhere / "fakelink.py").write_text("RATE = 2")
    forget()
    assert origin("fakelink") == PROJECT


@pytest.mark.parametrize("info", [{}, {"editable": True}])
def test_installed_from_a_directory(site: Site, info: dict[str, bool]) -> None:
    site({"fakelocal.py": ""}, "fakelocal-1.dist-info", direct_url={"url": "file:///x", "dir_info": info})
    importlib.import_module("fakelocal")
    assert origin("fakelocal") == PROJECT


def test_an_editable_install_that_points_elsewhere(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "checkout" / "src"
    source.mkdir(parents=True)
    (source / "fakeedit.py").write_text("")
    site(
        {"_fakeedit.pth": str(source)},
        "fakeedit-1.dist-info",
        ["_fakeedit.pth"],
        direct_url={"url": "file:///x", "dir_info": {"editable": True}},
    )
    monkeypatch.syspath_prepend(str(source))
    assert origin("fakeedit") == PROJECT
    importlib.import_module("fakeedit")
    assert origin("fakeedit") == PROJECT


def test_the_version_that_a_function_reaches_counts(site: Site) -> None:
    site(
        {"fakelib.py": "def g(x): return x", "app.py": "import fakelib\ndef f(x): return fakelib.g(x)"},
        "fakelib-1.dist-info",
        ["fakelib.py"],
    )
    graph = Graph(importlib.import_module("app").f)
    assert graph.modules == {"fakelib"}
    assert [node.label for node in graph.nodes] == ["app:f"]


def test_a_library_that_is_imported_inside_a_function_is_not_loaded_to_identify_it(site: Site) -> None:
    site(
        {
            "fakelib/__init__.py": "raise SystemExit",
            "app.py": "def f(x):\n import fakelib.inner as i\n from fakelib import y\n return i, y",
        },
        "fakelib-1.dist-info",
        ["fakelib/__init__.py"],
    )
    graph = Graph(importlib.import_module("app").f)
    assert graph.modules == {"fakelib"}
    assert "fakelib" not in sys.modules


def test_interpreter() -> None:
    assert interpreter() == f"cpython-3.{sys.version_info.minor}"
