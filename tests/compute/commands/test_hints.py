"""Which files a failed command may have missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from offload.commands.hints import missing_inputs, not_passed_on


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "conf").mkdir()
    for name in ("data.txt", "helper.py", "pkg/mod.py", "conf/a.ini", "two words", "error"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("stderr", "names"),
    [
        (b"cat: data.txt: No such file or directory\n", ["data.txt"]),
        (b"cat: ./data.txt: No such file or directory\n", ["data.txt"]),
        (b"FileNotFoundError: [Errno 2] No such file or directory: 'data.txt'\n", ["data.txt"]),
        (b"FileNotFoundError: [Errno 2] No such file or directory: 'two words'\n", ["two words"]),
        ("cannot access \u2018conf/a.ini\u2019: No such file or directory".encode(), ["conf/a.ini"]),
        (b"ModuleNotFoundError: No module named 'helper'\n", ["helper.py"]),
        (b"ModuleNotFoundError: No module named 'pkg.mod'\n", ["pkg"]),
        (b"ModuleNotFoundError: No module named 'elsewhere'\n", []),
        (b"something else went wrong\n", []),
        (b"an error\ncat: data.txt: No such file or directory\n", ["data.txt"]),
        (b"cat: /etc/passwd: No such file or directory; ../x\n", []),
        (b"\xff\xfe data.txt: not found", ["data.txt"]),
        (b"", []),
    ],
)
def test_names(stderr: bytes, names: list[str]) -> None:
    assert missing_inputs(stderr, []) == names


def test_what_was_an_input_is_not_named() -> None:
    stderr = b"'data.txt', 'conf/a.ini': No such file or directory"
    assert missing_inputs(stderr, ["data.txt"]) == ["conf/a.ini"]
    assert missing_inputs(stderr, ["data.txt", "conf"]) == []


def test_modules_beside_the_script(work: Path) -> None:
    (work / "src" / "lib").mkdir(parents=True)
    (work / "src" / "near.py").touch()
    (work / "src" / "lib" / "__init__.py").touch()
    assert missing_inputs(b"ModuleNotFoundError: No module named 'near'\n", ["src/main.py"]) == ["src/near.py"]
    assert missing_inputs(b"ModuleNotFoundError: No module named 'lib'\n", ["src/main.py"]) == ["src/lib"]
    assert missing_inputs(b"ModuleNotFoundError: No module named 'near'\n", []) == []


@pytest.mark.parametrize(
    "text",
    [
        "ImportError: cannot import name 'mod' from 'pkg' (/tmp/x/pkg/__init__.py)",
        "ImportError: cannot import name 'mod' from partially initialized module 'pkg' (most likely due to a circular",
        "ModuleNotFoundError: No module named 'pkg.mod'",
    ],
)
def test_what_a_package_lacks(text: str) -> None:
    assert missing_inputs(text.encode(), ["pkg/__init__.py"]) == ["pkg"]


def test_a_module_on_the_path_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib dir").mkdir()
    (tmp_path / "lib dir" / "mine.py").touch()
    (tmp_path / "in").mkdir()
    told = b"  File \"x.py\", line 1, in <module>\nModuleNotFoundError: No module named 'mine.sub'\n"
    assert missing_inputs(told, []) == []
    assert not_passed_on(told, {}) is None
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/lib dir:{tmp_path.parent}/other:.")
    value = f"--var PYTHONPATH='lib dir:{tmp_path.parent}/other'"  # what lies here is named as it is seen from here
    assert not_passed_on(told, {}) == f"PYTHONPATH leads to mine here, and is not passed on: {value}"
    assert not_passed_on(told.replace(b"mine", b"yours"), {}) is None
    assert not_passed_on(told, {"PYTHONPATH": "lib dir"}) is None
    value = f"--var PYTHONPATH='in:lib dir:{tmp_path.parent}/other'"
    found = not_passed_on(told, {"PYTHONPATH": "in"})
    assert found == f"PYTHONPATH leads to mine here, and not all of it is passed on: {value}"
