"""A package with a C extension, data files and plug-ins that are found by their entry points."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from tests.everyday.projects import NOTE, Edit, Project, main
from tests.everyday.workshop import Workshop, answers, edit
from tests.requirements import requires, requires_program

pytestmark = pytest.mark.real

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
        """,
        "setup.py": """
            from setuptools import Extension, setup

            setup(ext_modules=[Extension("signalkit._fast", ["src/signalkit/_fast.c"])])
        """,
        "src/signalkit/__init__.py": "",
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
            from signalkit._fast import twice

            def smooth(x):
                return twice(x) + 1
        """,
        "main.py": main(
            "from importlib.metadata import entry_points\nfrom signalkit._fast import twice",
            "direct: direct, 4",
            "plugged: plugged, 4",
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
""",
        ),
    },
    {"direct": 8, "plugged": 9},
    "direct plugged",
    (
        Edit("src/signalkit/filters.py", "+ 1", "+ 2", {"plugged": 10}, "plugged"),
        Edit("src/signalkit/_fast.c", "* 2", "* 3", {"direct": 12, "plugged": 14}, "direct plugged"),
    ),
    is_installed=True,
)


def test_a_package_with_a_c_extension(tmp_path: Path) -> None:
    """It counts by its file: built again from other code, what reaches it is computed again."""
    requires_program("cc")
    header = Path(sysconfig.get_path("include"), "Python.h")
    requires(header.exists(), f"needs Python's C headers ({header})")
    workshop = Workshop.make(tmp_path)
    place = SIGNAL.write(tmp_path, str(workshop.log))
    workshop.install("-e", place)

    def run() -> tuple[dict[str, object], list[str]]:
        return answers(workshop.run("main.py", cwd=place)), workshop.executed()

    expected = dict(SIGNAL.results)
    assert run() == (expected, SIGNAL.executed.split())
    assert run() == (expected, [])
    for change in SIGNAL.edits:
        edit(place / change.file, change.old, change.new)
        if change.file.endswith(".c"):
            workshop.install("-e", place)
        expected |= change.results
        assert run() == (expected, change.executed.split())
    assert run() == (expected, [])


def test_on_a_deployment(tmp_path: Path) -> None:
    """Workers load it from its file; built again, they say that they cannot exchange it, and a new worker has it."""
    requires_program("cc")
    header = Path(sysconfig.get_path("include"), "Python.h")
    requires(header.exists(), f"needs Python's C headers ({header})")
    workshop = Workshop.make(tmp_path)
    place = SIGNAL.write(tmp_path, str(workshop.log))
    workshop.install("-e", place)

    def run() -> dict[str, object]:
        return answers(workshop.run("main.py", "map", cwd=place, OFFLOAD_DEPLOYMENT="native"))

    workshop.offload("up", "--name", "native", "--workers", "1")
    try:
        expected = dict(SIGNAL.results)
        assert run() == expected
        pure, native = SIGNAL.edits
        edit(place / pure.file, pure.old, pure.new)
        expected |= pure.results
        assert run() == expected
        edit(place / native.file, native.old, native.new)
        workshop.install("-e", place)
        with pytest.raises(AssertionError, match="_fast has been built anew since it was loaded"):
            run()
        workshop.offload("down", "native")
        workshop.offload("up", "--name", "native", "--workers", "1")
        assert run() == expected | native.results
    finally:
        workshop.offload("down", "native")
