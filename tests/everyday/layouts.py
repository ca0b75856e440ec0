"""All ways to lay out a project, to build it and to install it."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

from tests.everyday.workshop import Workshop, edit

CORE = "RATE = 1\n\n\ndef area(x):\n    return x * RATE  # the first comment\n"


@dataclasses.dataclass(frozen=True)
class Layout:
    """A way to have a project.

    Attributes
    ----------
    name : str
        The project's name.
    build : str
        What ``[build-system]`` and the tables of the back end say; empty for a project that is not installed.
    package : str
        Where the package lies: ``src/NAME``, ``NAME`` or as the back end wants it.
    how : str
        ``editable`` (with options of pip after it), ``directory``, ``wheel``, ``path`` (``PYTHONPATH``) or ``zip``.
    more : tuple of (str, str)
        Further files, and what they hold.
    """

    name: str
    build: str
    package: str
    how: str
    more: tuple[tuple[str, str], ...] = ()

    @property
    def module(self) -> str:
        """The module that holds the code."""
        return ".".join([*self.package.removeprefix("src/").split("/"), "core"])

    @property
    def is_followed(self) -> bool:
        """Whether an edit of the checkout is there at the next start of Python."""
        return self.how.startswith(("editable", "path"))

    def core(self, directory: Path) -> Path:
        """Return the file with the code, below the directory of all projects."""
        return directory / self.name / self.package / "core.py"

    def write(self, directory: Path, rate: int = 1) -> None:
        """Write the project below the directory of all projects."""
        place = directory / self.name
        core = self.core(directory)
        core.parent.mkdir(parents=True)
        core.write_text(CORE.replace("RATE = 1", f"RATE = {rate}"))
        if "space" not in self.name:
            (core.parent / "__init__.py").write_text("")
        if self.build:
            project = f'[project]\nname = "{self.name}"\nversion = "1.0"\ndescription = "a project"\n'
            (place / "pyproject.toml").write_text(f"{project}\n{self.build}")
        for path, text in self.more:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text)


def _system(requires: str, backend: str, more: str = "") -> str:
    return f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n{more}'


SETUPTOOLS = _system("setuptools", "setuptools.build_meta")
HATCHLING = _system("hatchling", "hatchling.build")
MESON = (
    (
        "meson.build",
        """project('mesonpkg', version: '1.0')
py = import('python').find_installation(pure: true)
py.install_sources('mesonpkg/__init__.py', 'mesonpkg/core.py', subdir: 'mesonpkg')
""",
    ),
)
CMAKE = (
    (
        "CMakeLists.txt",
        """cmake_minimum_required(VERSION 3.15)
project(skbuildpkg LANGUAGES NONE)
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/made.txt" "made")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/made.txt" DESTINATION skbuildpkg)
""",
    ),
)

LAYOUTS = [
    Layout("flatpkg", SETUPTOOLS, "flatpkg", "editable"),
    Layout("srcpkg", SETUPTOOLS, "src/srcpkg", "editable"),
    Layout("strictpkg", SETUPTOOLS, "src/strictpkg", "editable --config-settings=editable_mode=strict"),
    Layout("compatpkg", SETUPTOOLS, "compatpkg", "editable --config-settings=editable_mode=compat"),
    Layout(
        "spacepkg",
        SETUPTOOLS + '[tool.setuptools.packages.find]\nwhere = ["src"]\n',
        "src/spaceofall/one",
        "editable",
    ),
    Layout("hatchpkg", HATCHLING, "src/hatchpkg", "editable"),
    Layout("exactpkg", HATCHLING + "[tool.hatch.build]\ndev-mode-exact = true\n", "exactpkg", "editable"),
    Layout("flitpkg", _system("flit_core", "flit_core.buildapi"), "flitpkg", "editable"),
    Layout("poetrypkg", _system("poetry-core", "poetry.core.masonry.api"), "src/poetrypkg", "editable"),
    Layout("uvpkg", _system("uv_build", "uv_build"), "src/uvpkg", "editable"),
    Layout("pdmpkg", _system("pdm-backend", "pdm.backend"), "src/pdmpkg", "editable"),
    Layout("mesonpkg", _system("meson-python", "mesonpy"), "mesonpkg", "editable", MESON),
    Layout("skbuildpkg", _system("scikit-build-core", "scikit_build_core.build"), "src/skbuildpkg", "editable", CMAKE),
    Layout("dirpkg", SETUPTOOLS, "dirpkg", "directory"),
    Layout("dirhatchpkg", HATCHLING, "src/dirhatchpkg", "directory"),
    Layout("wheelpkg", SETUPTOOLS, "src/wheelpkg", "wheel"),
    Layout("wheelhatchpkg", HATCHLING, "wheelhatchpkg", "wheel"),
    Layout("pathpkg", SETUPTOOLS, "pathpkg", "path"),
    Layout("zippkg", "", "zippkg", "zip"),
]


def install(workshop: Workshop, directory: Path, layouts: list[Layout], again: bool = False) -> None:
    """Install projects, each in its way; `again` installs anew what has the same version."""
    words: dict[str, list[str | Path]] = {}
    for one in layouts:
        place = directory / one.name
        kind, _, options = one.how.partition(" ")
        if kind == "editable":
            words.setdefault(options, []).extend(("-e", place))
        elif kind == "directory":
            words.setdefault("", []).append(place)
        elif kind == "wheel":
            wheels = place / "wheels"
            build = ("wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", wheels, place)
            workshop.run("-m", "pip", "-q", "--disable-pip-version-check", *build)
            words.setdefault("", []).extend(wheels.iterdir())
        elif kind == "zip":
            with zipfile.ZipFile(directory / "zippkg.zip", "w") as archive:
                for file in sorted(place.rglob("*.py")):
                    archive.write(file, file.relative_to(place))
    for options, projects in words.items():
        workshop.install(*options.split(), *(["--force-reinstall"] if again else []), *projects)


def search_path(directory: Path) -> str:
    """Return ``PYTHONPATH`` for those that are found by it."""
    return f"{directory / 'pathpkg'}:{directory / 'zippkg.zip'}"


def script(layouts: list[Layout]) -> str:
    """Return a script with a task for each project, which notes what is executed and prints the results as JSON.

    Its argument ``map`` gives the calls to workers.
    """
    lines = ["import json, os, sys", "import offload", ""]
    lines += ["def note(word):", "    with open(__LOG__, 'a') as log:", "        log.write(word + '\\n')", ""]
    for one in layouts:
        lines += [f"from {one.module} import area as area_{one.name}", "@offload.task", f"def {one.name}(x):"]
        lines += [f"    note({one.name!r})", f"    return area_{one.name}(x)", ""]
    tasks = ", ".join(one.name for one in layouts)
    lines += ["if __name__ == '__main__':", f"    tasks = [{tasks}]"]
    lines += ["    if 'map' in sys.argv:", "        found = offload.gather([task.submit(10) for task in tasks])"]
    lines += ["    else:", "        found = [task(10) for task in tasks]"]
    lines += ["    print(json.dumps({task.__name__: value for task, value in zip(tasks, found)}))", ""]
    return "\n".join(lines)


def edited(layouts: list[Layout], directory: Path, old: str, new: str) -> None:
    """Edit the code of each project."""
    for one in layouts:
        edit(one.core(directory), old, new)
