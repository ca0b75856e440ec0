"""A project travels as files to workers that do not see it: it is out of their sight when they run."""

from __future__ import annotations

import importlib
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offload.errors import DecodeError, EffectWarning, OffloadError
from offload.identity.origins import original
from offload.identity.values.encode import identify
from offload.snapshots import edits, scan, upload
from offload.snapshots.locate import seen_here
from offload.snapshots.manifest import Entry, Manifest
from offload.snapshots.units import Units
from offload.snapshots.unpack import lay_out
from offload.storage.memory import MemoryStore
from offload.transport.sources import Sources
from tests.compute.conftest import Script
from tests.compute.test_by_name import KINDS
from tests.compute.test_by_name import PROGRAM as OF_KINDS
from tests.conftest import Offload

if TYPE_CHECKING:
    from offload.storage.store import Data

pytestmark = pytest.mark.usefixtures("home")

HIDING = """
import json, os, subprocess, sys, time
HERE = os.path.dirname(os.path.abspath(__file__))

def hidden(submit):
    "Make calls when no worker is there, and have one come when the project is out of its sight."
    scale = [sys.argv[1], "scale", "one"]
    subprocess.run([*scale, "0"], check=True, capture_output=True)
    status, deadline = [sys.argv[1], "status", "one", "--json"], time.monotonic() + 60
    while json.loads(subprocess.run(status, capture_output=True).stdout)["workers"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    futures = submit()
    os.rename(HERE, HERE + "-away")
    try:
        subprocess.run([*scale, "1"], check=True, capture_output=True)
        return offload.gather(futures)
    finally:
        os.rename(HERE + "-away", HERE)
"""


@pytest.fixture
def deployment(offload: Offload, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    done = offload("up", "--name", "one", "--workers", "1")
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "one")
    yield
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT")
    assert offload("down", "one").returncode == 0


class Project(Script):
    """A directory of Python files that workers do not see while its programs wait for them."""

    command: Path

    def hidden(self, text: str) -> str:
        """What a program prints whose calls ran where the project is not to be seen."""
        done = self.run(f"import offload\n{HIDING}\n{textwrap.dedent(text)}", str(self.command), timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def project(script: Script, command: Path, deployment: None) -> Project:
    made = Project(script.path)
    made.command = command
    return made


@pytest.mark.real
def test_classes_caches_and_locks(project: Project) -> None:
    project.write("lib.py", KINDS)
    program = OF_KINDS.replace("import offload, lib, sys", "import lib").replace("offload.gather([", "hidden(lambda: [")
    assert project.hidden(program) == "caught (3,) as it was\n"


@pytest.mark.real
def test_a_package_with_data_plug_ins_and_an_extension_module(project: Project) -> None:
    for folder in ("pkg/deep", "plug", "own-1.0.dist-info", "pkg/__pycache__", "pkg/.git", "pkg/venv"):
        (project.path / folder).mkdir(parents=True)
    project.write("own-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    project.write("own-1.0.dist-info/entry_points.txt", "[pkg.plugs]\ndouble = pkg.plugs:double\n")
    project.write("pkg/__init__.py", "import threading\nLOCK = threading.Lock()\n")
    project.write("pkg/table.txt", "7")
    for name in ("pkg/.git/config", "pkg/venv/pyvenv.cfg", "pkg/__pycache__/left.txt"):
        project.write(name, "not to travel")
    project.write("pkg/deep/__init__.py", "from ..sub import V\n")
    project.write("pkg/sub.py", "V = 3\n")
    project.write("pkg/plugs.py", "from pkg.deep import V\ndef double(x): return 2 * x + V\n")
    project.write("helpers.py", "import pkg\ndef locked(x):\n    with pkg.LOCK: return x + 1\n")
    _build_extension(project.path / "pkg")
    text = """
    import importlib, importlib.metadata, importlib.resources, os, pkgutil
    import helpers, pkg.deep, pkg.native
    from pkg.plugs import double

    @offload.task(depends_on=[importlib.resources.files("pkg") / "table.txt"])
    def declared():
        return int(importlib.resources.files("pkg").joinpath("table.txt").read_text())

    @offload.task
    def undeclared():
        return int(pkgutil.get_data("pkg", "table.txt"))

    @offload.task(depends_on=[double], effects="ignore")
    def plugged(x):
        (found,) = importlib.metadata.entry_points(group="pkg.plugs")
        return [found.load()(x), importlib.metadata.version("own"), sorted(os.listdir(os.path.dirname(pkg.__file__)))]

    @offload.task
    def mixed(x):
        return [importlib.import_module("..sub", "pkg.deep").V, helpers.locked(x), pkg.native.add(x)]

    if __name__ == "__main__":
        calls = []
        rows = [(declared,), (undeclared,), (plugged, 5), (mixed, 1)]
        found = hidden(lambda: calls.extend(task.submit(*row) for task, *row in rows) or calls)
        assert found[2][:2] == [13, "1.0"], found
        assert not {".git", "venv"}.intersection(found[2][2]), found
        print(found[:2], found[3], [future.recalled for future in calls])
        print([bool(future.effects) for future in calls], calls[1].effects.undeclared)
    """
    first = project.hidden(text)
    table = str(project.path / "pkg/table.txt")
    assert first.splitlines()[0] == "[7, 7] [3, 2, 43] [False, False, False, False]"
    assert first.splitlines()[1] == f"[False, True, False, False] [('file', {table!r})]"
    # What was declared is recorded; an edit of the data is another input, and travels.
    project.write("pkg/table.txt", "80")
    second = project.hidden(text)
    assert second.splitlines()[0] == "[80, 80] [3, 2, 43] [False, False, True, True]"


def _build_extension(folder: Path) -> None:
    source = folder.parent / "native.c"
    source.write_text(
        textwrap.dedent("""
        #include <Python.h>
        static PyObject *add(PyObject *self, PyObject *x) { return PyLong_FromLong(PyLong_AsLong(x) + 42); }
        static PyMethodDef methods[] = {{"add", add, METH_O, ""}, {NULL, NULL, 0, NULL}};
        static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "native", "", -1, methods};
        PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&module); }
        """)
    )
    include, suffix = sysconfig.get_path("include"), sysconfig.get_config_var("EXT_SUFFIX")
    target = folder / f"native{suffix}"
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{include}", source, "-o", target], check=True)
    source.unlink()


# The parts


def test_a_manifest_leads_nowhere_else() -> None:
    entry = Entry("a/b.py", "0" * 64, False, 3)
    whole = Manifest({"/p/pkg": (entry,), "/p/one.py": (entry._replace(name=""),)})
    again = Manifest.decoded(whole.encoded())
    assert (again.units, again.platform) == (whole.units, sysconfig.get_platform())
    for path in ("relative", "/p/../q", "/p//q", "/", "/p/\0", "/p/."):
        with pytest.raises(DecodeError, match="cannot hold"):
            Manifest.decoded(Manifest({path: (entry,)}).encoded())
    for name in ("../x", "/etc/passwd", "a/../../x", "a//b", ".", "a\0"):
        with pytest.raises(DecodeError, match="cannot hold"):
            Manifest.decoded(Manifest({"/p": (entry._replace(name=name),)}).encoded())


def test_versions_lie_apart_and_share_contents(tmp_path: Path) -> None:
    store = MemoryStore()

    def stored(**texts: str) -> str:
        entries = [
            Entry(name, store.put([text.encode()])[0], name == "run", len(text)) for name, text in sorted(texts.items())
        ]
        return store.put([Manifest({"/p/pkg": tuple(entries)}).encoded()])[0]

    first = lay_out(stored(a="1", run="#!", big="x" * 2**21), store, str(tmp_path))
    assert lay_out(stored(a="1", run="#!", big="x" * 2**21), store, str(tmp_path)) is first
    second = lay_out(stored(a="2", run="#!", big="x" * 2**21), store, str(tmp_path))
    here, there = Path(first.path + "/p/pkg"), Path(second.path + "/p/pkg")
    assert [(here / "a").read_text(), (there / "a").read_text()] == ["1", "2"]
    assert (here / "big").samefile(there / "big")
    assert (here / "run").stat().st_mode & 0o777 == 0o555
    assert (here / "a").stat().st_mode & 0o777 == 0o444
    assert original(f"{here}/a:{there}") == "/p/pkg/a:/p/pkg"
    assert identify([Path(f"{here}/a"), f"file:{there}", *["-"] * 20]) == identify(
        [Path("/p/pkg/a"), "file:/p/pkg", *["-"] * 20]
    )
    assert identify([{f"{here}": f"{there}"}, f"{here}"]) == identify([{"/p/pkg": "/p/pkg"}, "/p/pkg"])
    # What was added to a tree, and what was damaged meanwhile.
    kept = next((tmp_path / "snapshots/contents").glob(f"{sha256(b'1').hexdigest()}*"))
    kept.chmod(0o644)
    kept.write_text("damaged")
    entry = Entry("", sha256(b"1").hexdigest(), False, 1)
    third = lay_out(store.put([Manifest({"/p/more.py": (entry,)}).encoded()])[0], store, str(tmp_path))
    assert third is second
    assert Path(second.path + "/p/more.py").read_text() == "1"
    store.delete([entry.checksum])
    with pytest.raises(OffloadError, match="not stored any more"):
        lay_out(stored_gone(store), store, str(tmp_path))


def test_files_of_calls_lie_at_their_places_too(tmp_path: Path) -> None:
    store = MemoryStore()
    (digest,) = store.put([b"X = 1"])
    sources = Sources(("/p",), {"/p/module.py": digest})
    snapshot = store.put([Manifest({"/p/module.py": (Entry("", digest, False, 5),)}).encoded()])[0]

    def here(*given: tuple[str, str]) -> tuple[Path, str]:
        files = [(path, store.put([text.encode()])[0], False) for path, text in given]
        seen, reason = seen_here(sources, snapshot, lambda: store, str(tmp_path), files)
        return Path(seen.roots[0]), reason

    first, reason = here(("/p/data/one.csv", "1"), ("/elsewhere/two.csv", "2"))
    assert reason == ""
    assert (first / "data/one.csv").read_text() == "1"
    assert not (first.parent / "elsewhere").exists()
    second, _ = here(("/p/data/three.csv", "3"))
    assert second == first
    other, _ = here(("/p/data/one.csv", "another"))
    assert other != first
    assert [(one / "data/one.csv").read_text() for one in (first, other)] == ["1", "another"]
    _, reason = here(("/p/module.py", "X = 2"))
    assert "/p/module.py was changed while the call was submitted" in reason


def test_an_extension_module_has_to_fit(tmp_path: Path) -> None:
    store = MemoryStore()
    (digest,) = store.put([b"ELF"])
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for name, platform, reason in (
        (f"fast{suffix}", None, ""),
        (f"fast{suffix}", "linux-vax", f"fast{suffix} is made for linux-vax"),
        ("fast.cpython-36m-vax.so", None, "fast.cpython-36m-vax.so is made for another Python"),
    ):
        manifest = Manifest({f"/p/{name}": (Entry("", digest, False, 3),)}, platform).encoded()
        sources = Sources(("/p",), {f"/p/{name}": digest})
        _, why = seen_here(sources, store.put([manifest])[0], lambda: store, str(tmp_path))
        assert why.startswith(reason) and bool(why) is bool(reason)


def test_a_file_that_was_edited_after_its_import_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "edited_module.py"
    text = "# comment\nK = 1\ndef f(x):\n    def inner(): return x\n    return x + K\n"
    text += "class C:\n    def m(self): return 5\n"
    path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("edited_module")
    try:
        assert not edits.is_edited(str(path))
        for same in (text.replace("# comment", "# another\n\n"), text):
            path.write_text(same)
            assert not edits.is_edited(str(path))
        for other in (text.replace("x + K", "x - K"), text.replace("return 5", "return 6"), "def f(:"):
            path.write_text(other)
            assert edits.is_edited(str(path))
        about = path.stat()
        state = about.st_size, about.st_mtime_ns, 0, 0, 0
        files = [scan.File(str(path), "", str(path), state, False, about.st_size)]
        with pytest.warns(EffectWarning, match="edited_module.py was edited after its import"):
            edits.tell_edited(files)
        edits.tell_edited(files)  # once
    finally:
        del sys.modules["edited_module"]


def stored_gone(store: MemoryStore) -> str:
    return store.put([Manifest({"/p/other.py": (Entry("", "0" * 64, False, 1),)}).encoded()])[0]


def test_what_is_fetched_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"{number}" * 100)
    monkeypatch.setattr(upload, "REST", 0.0)
    monkeypatch.setattr(upload, "units", lambda: units)
    units: Units = Units({str(folder): str(folder)}, frozenset([str(folder / "__init__.py")]))
    store = Counting()
    first = upload.snapshot(("one",), store)
    assert (store.asked, store.given) == (1, 7)  # and the manifest
    time.sleep(scan.FRESH)
    assert upload.snapshot(("one",), store) == first
    assert (store.asked, store.given) == (1, 7)
    upload._taken.clear()  # as in the next process
    assert upload.snapshot(("one",), store) == first
    assert (store.asked, store.given) == (2, 7)
    (folder / "3.txt").write_text("other")
    second = upload.snapshot(("one",), store)
    assert second != first
    assert (store.asked, store.given) == (3, 9)
    monkeypatch.setattr(scan, "LARGEST", 250)
    with pytest.warns(EffectWarning, match=r"lack 2 files of its packages .*pack/2\.txt"):
        upload.snapshot(("two",), Counting(), tells=True)
    monkeypatch.setattr(scan, "LARGEST", 2**20)
    monkeypatch.setattr(scan, "MOST", 4)
    (folder / "many").mkdir()
    for number in range(9):
        (folder / "many" / f"{number}.txt").touch()
    with pytest.warns(EffectWarning, match=r"lack 1 file .*pack/\.\.\."):
        upload.snapshot(("three",), Counting(), tells=True)


class Counting(MemoryStore):
    asked = given = 0

    def has(self, checksums: Sequence[str]) -> list[bool]:
        self.asked += 1
        return super().has(checksums)

    def put(self, buffers: Sequence[Data]) -> list[str]:
        self.given += len(buffers)
        return super().put(buffers)
