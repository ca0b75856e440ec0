"""Libraries that are called by ctypes count by their files, and by what was said of their functions."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from offload.errors import DecodeError, EncodeError
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode, identify
from tests.compute.conftest import Script

pytestmark = [
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler"),
]


def build(directory: Path, factor: int, name: str = "libown.so") -> str:
    source = directory / "own.c"
    source.write_text(f"int times(int x) {{ return {factor} * x; }}\ndouble half(double x) {{ return x / 2; }}\n")
    path = directory / name
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, source], check=True)
    return str(path)


PROGRAM = """
import ctypes, os, offload
own = ctypes.CDLL(os.path.abspath("libown.so"))
system = ctypes.CDLL(None)
own.half.restype, own.half.argtypes = ctypes.c_double, [ctypes.c_double]
times = own.times

@offload.task
def by_library(x):
    print("computed", end=" ")
    return own.times(x), own.half(x), system.abs(-x)

@offload.task
def by_function(x):
    print("computed", end=" ")
    return times(x)

print(by_library(3), by_library(3), by_function(3), by_function(3))
"""


def test_a_library_that_is_built_anew(script: Script) -> None:
    for number, factor in enumerate((2, 3, 2)):
        build(script.path, factor)
        ran = "computed computed " if number < 2 else ""
        found = f"({3 * factor}, 1.5, 3)"
        assert script.output(PROGRAM) == f"{ran}{found} {found} {3 * factor} {3 * factor}\n"
    shutil.move(script.path / "libown.so", script.path / "libother.so")
    moved = PROGRAM.replace("libown.so", "libother.so")
    assert "computed" not in script.output(moved)


def test_what_was_said_counts_and_what_was_called_does_not(tmp_path: Path) -> None:
    path = build(tmp_path, 2)
    one, other = ctypes.CDLL(path), ctypes.CDLL(path)
    assert one.times(2) == 4
    assert identify(one) == identify(other)
    assert identify(one.times) == identify(other.times) != identify(one.half)
    one.half.restype = ctypes.c_double
    assert identify(one) != identify(other)
    other.half.restype = ctypes.c_double
    assert identify(one) == identify(other)
    other.half.argtypes = [ctypes.POINTER(ctypes.c_int)]
    assert len({identify(library) for library in (one, other, ctypes.CDLL(None), ctypes.PyDLL(None))}) == 4


def test_what_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="belongs to its process"):
        decode(encode(ctypes.CDLL(build(tmp_path, 2))))
    with pytest.raises(EncodeError):
        identify(ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1))
