"""The shape of the house: who may import whom, how long a file may be, what the fast paths may load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import offload

SOURCE = Path(__file__).parent.parent / "src" / "offload"
MODULES = sorted(SOURCE.rglob("*.py"))

# Each room may import itself and the rooms to its left, everyone the leaves: docs/decisions/0070-the-house.md.
ORDER = (
    "util http identity storage registry records effects transport tasks snapshots commands runners engines jobs "
    "verify hosts batch environments deploy doctor api cli"
).split()
LEAVES = ("errors", "notices", "_version", "moved")

IN_CIRCLES = 35
"""So many modules import each other in circles, also within functions and for types. The number only falls."""

# What recalling must not load: each of these costs a good part of the start of Python itself.
HEAVY = set(
    "asyncio cbor2 click cloudpickle concurrent.futures dask dataclasses distributed importlib.metadata inspect json "
    "logging numpy pandas pathlib pickle platform platformdirs random re rich shlex shutil socket ssl subprocess "
    "tempfile tornado traceback typing urllib uuid yaml".split()
)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in MODULES}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every module of offload that an import statement names, wherever it stands, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            base = node.module or ""
            found = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in NAMES else base for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in found if name.split(".")[0] == "offload")


def allowed(part: str, target: str) -> bool:
    """Whether a module of `part` (the first name after ``offload``; empty at the top) may import `target`."""
    if part in ("", "__main__") or target in LEAVES:
        return True
    if part in LEAVES:
        return False
    if not target:
        return part == "cli"
    return target in ORDER[: ORDER.index(part) + 1]


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_follow_the_order(path: Path) -> None:
    part = part_of(name_of(path))
    wrong = [
        f"line {line}: {name_of(path)} must not import {target}"
        for line, target in imported(ast.parse(path.read_bytes()))
        if not allowed(part, part_of(target))
    ]
    assert not wrong, "\n".join(wrong)


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules each of which leads to all others of its group."""
    reached: dict[str, set[str]] = {}
    for start in arrows:
        seen, new = set[str](), set(arrows[start])
        while new:
            seen |= new
            new = {target for name in new for target in arrows.get(name, ())} - seen
        reached[start] = seen
    rings = {tuple(sorted(b for b in reached[a] if a in reached.get(b, ()))) for a in arrows if a in reached[a]}
    return sorted(map(list, rings))


def test_modules_in_circles_get_fewer() -> None:
    arrows = {
        name_of(path): {target for _, target in imported(ast.parse(path.read_bytes())) if target != "offload"}
        for path in MODULES
    }
    found = circles(arrows)
    assert sum(map(len, found)) == IN_CIRCLES, "\n".join(map(str, found))


def test_circles_are_found() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(arrows) == [["b", "c"], ["d", "e"]]


def test_every_part_is_known() -> None:
    parts = {part_of(name) for name in NAMES} - {"", "__main__"}
    assert parts <= {*ORDER, *LEAVES}


@pytest.mark.parametrize(
    ("part", "target", "expected"),
    [
        ("identity", "storage", False),
        ("storage", "identity", True),
        ("storage", "registry", False),
        ("tasks", "cli", False),
        ("tasks", "", False),
        ("cli", "tasks", True),
        ("cli", "", True),
        ("api", "cli", False),
        ("errors", "identity", False),
        ("identity", "errors", True),
    ],
)
def test_the_order_itself(part: str, target: str, expected: bool) -> None:
    assert allowed(part, target) is expected


def test_imports_are_found_wherever_they_stand() -> None:
    text = (
        "def f():\n    import offload.cli.main\nif TYPE_CHECKING:\n    from offload.storage import Store\n"
        "from offload import errors\nimport os\n"
    )
    found = sorted(imported(ast.parse(text)))
    assert found == [(2, "offload.cli.main"), (4, "offload.storage"), (5, "offload.errors")]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 500, f"{lines} lines; one concept per file"


def test_what_is_imported_is_declared() -> None:
    """Every distribution that src imports is a dependency, but for those whose values only users bring along."""
    project = tomllib.loads((SOURCE.parent.parent / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in project["dependencies"]}
    brought = {"IPython", "numpy", "pandas", "polars", "pyarrow", "rdkit", "scipy"}
    names = {
        name.split(".")[0]
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    foreign = names - sys.stdlib_module_names - {"offload", "_typeshed"}
    assert foreign - brought == declared - {"bokeh"}  # what Dask's dashboard needs


def loaded(code: str, directory: Path) -> set[str]:
    """Which modules `code` loads beyond those of an empty program of the same interpreter."""
    dump = directory / "modules"
    program = f"""
import os, sys
before = set(sys.modules)
def leave(code):
    raise SystemExit(code)
os._exit = leave
try:
    exec({code!r})
except SystemExit as error:
    assert not error.code, error.code
with open({str(dump)!r}, "w") as file:
    print(*(set(sys.modules) - before), file=file)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return set(dump.read_text().split())


def test_public_names() -> None:
    """Whoever changes this list changes what users rely on: it goes to CHANGELOG.md too."""
    assert sorted(offload.__all__) == sorted(
        "CommandError CommandResult DecodeError Deployment Directory EffectWarning EncodeError EngineLostError File "
        "Future IdentityError NotFoundError NotRecordedWarning OffloadError StorageError Task UsageError "
        "WorkerLostError __version__ as_completed client connect gather identity off output register run task "
        "why".split()
    )
    for name in offload.__all__:
        assert getattr(offload, name) is not None
    assert set(dir(offload)) >= set(offload.__all__)


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    modules = loaded("import offload", tmp_path)
    assert "offload" in modules
    assert not modules & (HEAVY | {"sqlite3", "hashlib"})


@pytest.mark.parametrize("active", ["", "demo", "far"], ids=["embedded", "with a deployment", "with one elsewhere"])
@pytest.mark.parametrize("words", [["echo", "hello"], ["cat", "words.txt"]], ids=["plain", "input file"])
def test_recalling_a_command_loads_nothing_heavy(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], active: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("some words\n")
    program = f"import sys; sys.argv = {['offload', 'run', '--', *words]!r}; import offload.cli.main as m; m.main()"
    first = loaded(program, tmp_path)
    assert "offload.commands.running.one" in first, "the first run executes the command"
    assert not first & (HEAVY | {"subprocess", "re"})
    if active:
        (home / "deployments" / active).mkdir(parents=True)
        (home / "deployments" / active / "spec.json").write_text("{}")
        if active == "far":  # its storage is read through, and what is recorded here needs none of it
            (home / "deployments" / active / "storage").write_text("\n\nfar\n")
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", active)
    second = loaded(program, tmp_path)
    assert "offload.commands.running.one" not in second, "the second run recalls it"
    assert not second & HEAVY
