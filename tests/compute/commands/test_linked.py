"""Shared libraries that a program or an extension module is linked with, and that are built anew beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from offload.identity.libraries.linked_libraries import linked_libraries
from tests.requirements import requires

CC = shutil.which("cc") or ""
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(autouse=True)
def compiler() -> None:
    requires(CC and sys.platform == "linux", "a C compiler on Linux")


def build_library(folder: Path, value: int, name: str = "k", *options: str) -> None:
    folder.mkdir(exist_ok=True)
    source = folder / f"{name}.c"
    source.write_text(f"int {name}(void) {{ return {value}; }}\n")
    fresh = folder / "fresh.so"
    subprocess.run([CC, "-shared", "-fPIC", "-o", fresh, source, *options], check=True)
    fresh.replace(folder / f"lib{name}.so")


def build_program(folder: Path, place: str, *options: str) -> None:
    source = folder / "main.c"
    source.write_text('#include <stdio.h>\nint k(void);\nint main(void) { printf("%d\\n", k()); return 0; }\n')
    command: list[str | Path] = [
        CC,
        "-o",
        folder / "prog",
        source,
        f"-L{folder / 'lib'}",
        "-lk",
        f"-Wl,-rpath,{place}",
        *options,
    ]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("tags", ["--enable-new-dtags", "--disable-new-dtags"])
@pytest.mark.parametrize("argv", [["./prog"], ["{}/prog"], ["sh", "-c", "./prog"], ["env", "./prog"]])
def test_a_rebuilt_library_of_a_program_counts(
    tmp_path: Path, offload: Run, monkeypatch: pytest.MonkeyPatch, tags: str, argv: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.format(tmp_path) for word in argv]
    build_library(tmp_path / "lib", 1)
    build_program(tmp_path, str(tmp_path / "lib"), f"-Wl,{tags}")
    assert offload("run", "--", *words).stdout == b"1\n"
    assert b"recalled" in offload("run", "--", *words).stderr
    build_library(tmp_path / "lib", 2)
    assert offload("run", "--", *words).stdout == b"2\n"
    assert b"recalled" in offload("run", "--", *words).stderr


def test_a_library_beside_a_program_on_the_path_counts(
    tmp_path: Path, offload: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build_library(tmp_path / "lib", 1)
    build_program(tmp_path, "$ORIGIN/lib")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert offload("run", "--", "prog").stdout == b"1\n"
    build_library(tmp_path / "lib", 2)
    assert offload("run", "--", "prog").stdout == b"2\n"


def test_a_library_of_a_library_is_found(tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    build_library(lib, 3, "deep")
    (lib / "k.c").write_text("int deep(void);\nint k(void) { return deep(); }\n")
    command: list[str | Path] = [
        CC,
        "-shared",
        "-fPIC",
        "-o",
        lib / "libk.so",
        lib / "k.c",
        f"-L{lib}",
        "-ldeep",
        "-Wl,-rpath,$ORIGIN",
    ]
    subprocess.run(command, check=True)
    build_program(tmp_path, str(lib), "-Wl,--allow-shlib-undefined")
    assert linked_libraries(str(tmp_path / "prog")) == {
        "libk.so": str(lib / "libk.so"),
        "libdeep.so": str(lib / "libdeep.so"),
    }


def test_what_is_no_program_is_linked_with_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    for content in (b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 200):
        broken.write_bytes(content)
        assert linked_libraries(str(broken)) == {}
    assert linked_libraries(str(tmp_path / "none")) == {}


LOADED = """
import ctypes, sys, offload
library = ctypes.CDLL({library!r})

@offload.task
def value():
    return library.outer()

print(value())
"""


def test_a_rebuilt_library_of_a_library_of_ctypes_counts(tmp_path: Path, home: Path) -> None:
    lib = tmp_path / "lib"
    build_library(lib, 1)
    (lib / "outer.c").write_text("int k(void);\nint outer(void) { return k(); }\n")
    outer = lib / "libouter.so"
    command: list[str | Path] = [
        CC,
        "-shared",
        "-fPIC",
        "-o",
        outer,
        lib / "outer.c",
        f"-L{lib}",
        "-lk",
        f"-Wl,-rpath,{lib}",
    ]
    subprocess.run(command, check=True)
    script = tmp_path / "script.py"
    script.write_text(LOADED.format(library=str(outer)))
    printed = []
    for result in (1, 2):
        build_library(lib, result)
        printed.append(subprocess.run([sys.executable, script], check=True, capture_output=True, text=True).stdout)
    assert printed == ["1\n", "2\n"]
