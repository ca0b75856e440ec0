"""Bytecode of a text that was there before is executed nowhere: one file of two texts of one size and one time.

Python takes the bytecode of the first for that of the second, as it does where a file is edited within a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from offload.util import bytecode
from tests.compute.conftest import Script
from tests.conftest import Offload

OLD = 1_000_000_000


@pytest.fixture(autouse=True)
def writes_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


def edit(path: Path, number: int) -> None:
    path.write_text(f"def g(): return {number}\n")
    os.utime(path, (OLD, OLD))


def compiled(path: Path) -> bool:
    return any((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))


def leave_stale(path: Path) -> None:
    """Have bytecode of another text lie beside a module."""
    edit(path, 7)
    code = f"import sys; sys.path.insert(0, {str(path.parent)!r}); import {path.stem}"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert compiled(path)
    edit(path, 8)


NAMED = "import offload, helper\n"
LOADS = """
import offload, importlib.util as u
def load(path):
    spec = u.spec_from_file_location('any', path)
    module = u.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""
CASES = {
    "imported": (NAMED, "", "helper.g()"),
    "imported by the call": ("import offload\n", "", "__import__('helper').g()"),
    "from its file": (
        LOADS,
        "depends_on=[offload.File('helper.py')]",
        "load(PATH).g()",
    ),
    "once more": ("import offload, helper, importlib\nimportlib.reload(helper)\n", "", "helper.g()"),
}


@pytest.mark.parametrize("call", ["f()", "f.submit().result()"])
@pytest.mark.parametrize("case", CASES)
def test_a_module_of_the_project(script: Script, case: str, call: str) -> None:
    begin, declared, body = CASES[case]
    body = body.replace("PATH", repr(str(script.path / "helper.py")))
    text = f"{begin}@offload.task({declared})\ndef f(): return {body}\nif __name__ == '__main__': print({call})\n"
    helper = script.path / "helper.py"
    edit(helper, 7)
    assert script.output(text) == "7\n"
    assert compiled(helper)
    edit(helper, 8)
    assert script.output(text) == "8\n"
    edit(helper, 7)
    assert script.output(text) == "7\n"


def test_a_deployment(script: Script, offload: Offload, monkeypatch: pytest.MonkeyPatch) -> None:
    assert offload("up", "--name", "one", "--workers", "1").returncode == 0
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "one")
    text = (
        f"{NAMED}@offload.task\ndef f(n): return helper.g()\nif __name__ == '__main__': print(f.submit(N).result())\n"
    )
    for number in (7, 8, 9, 8):
        edit(script.path / "helper.py", number)
        assert script.output(text.replace("N", str(number % 2))) == f"{number}\n"
    assert offload("down", "one").returncode == 0


def test_what_was_imported_before_offload_is_told(script: Script) -> None:
    """The program runs what Python gave it; the next one does not."""
    leave_stale(script.path / "helper.py")
    text = "import helper, offload\n@offload.task\ndef f(): return helper.g()\nif __name__ == '__main__': print(f())\n"
    done = script.run(text)
    assert (done.returncode, done.stdout) == (0, "7\n")
    assert "helper.py" in done.stderr and "start it again" in done.stderr
    assert script.output(text) == "8\n"


@pytest.mark.parametrize("beside", [True, False])
def test_commands(offload: Offload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool) -> None:
    """Modules beside a script that runs where it lies, and those of an editable project."""
    monkeypatch.chdir(tmp_path)
    place, python = tmp_path / "code", Path(sys.executable)
    place.mkdir()
    leave_stale(place / "helper.py")
    words = ["--", str(python), str(place / "main.py")]
    (place / "main.py").write_text("import helper; print(helper.g())\n")
    if not beside:
        subprocess.run([python, "-m", "venv", "--without-pip", "own"], check=True)
        (site,) = tmp_path.glob("own/lib/python*/site-packages")
        (site / "code.pth").write_text(f"{place}\n")
        words = ["--", str(tmp_path / "own/bin/python"), "-c", "import helper; print(helper.g())"]
    for number in (8, 9, 8):
        edit(place / "helper.py", number)
        assert offload("run", *words).stdout == f"{number}\n".encode()
        leave = [str(python), "-c", f"import sys; sys.path.insert(0, {str(place)!r}); import helper"]
        subprocess.run(leave, check=True)


def test_a_directory_that_a_command_uses_where_it_lies(
    offload: Offload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code").mkdir()
    leave_stale(tmp_path / "code/helper.py")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'code')!r}); import helper; print(helper.g())"
    done = offload("run", "--input", str(tmp_path / "code"), "--", sys.executable, "-c", code)
    assert done.stdout == b"8\n"


def test_bytecode_that_cannot_be_read_is_nobodys(tmp_path: Path) -> None:
    """As where another process has just removed it, or it is somebody else's."""
    source = tmp_path / "module.py"
    source.write_text("X = 1\n")
    (tmp_path / "__pycache__" / f"module.{sys.implementation.cache_tag}.pyc").mkdir(parents=True)
    bytecode.drop_stale([str(source)])
