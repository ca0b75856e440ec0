"""The instructions of code objects are those that ``dis`` tells."""

from __future__ import annotations

import ast
import dis
import json.decoder
import tarfile
import typing
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from offload.identity.functions.instructions import JUMPS, instructions


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def counted(opcode: int) -> bool:
    """Whether what `dis` takes an argument for is no text for people."""
    kinds = (dis.hasconst, dis.hasname, dis.haslocal, dis.hasfree, list(JUMPS))
    return any(opcode in kind for kind in kinds)


def test_prefixes_are_part_of_the_argument() -> None:
    text = "\n".join(f"a{n} = {n}.5" for n in range(70000)) + "\nwhile a69999: a69998"
    compare(compile(text, "<text>", "exec"))


@pytest.mark.parametrize("module", [ast, dis, json.decoder, tarfile, typing])
def test_as_dis_tells(module: ModuleType) -> None:
    assert module.__file__ is not None
    for code in codes(compile(Path(module.__file__).read_text(), "<text>", "exec")):
        compare(code)


def compare(code: CodeType) -> None:
    found = list(instructions(code))
    told = [one for one in dis.get_instructions(code) if one.opname not in ("CACHE", "EXTENDED_ARG")]
    one, other = ([(i.opcode, i.opname, i.arg, i.offset) for i in every] for every in (found, told))
    assert one == other
    for ours, theirs in zip(found, told, strict=True):
        unknown = ours.opname == "KW_NAMES"  # to `dis`, in Python 3.11
        assert unknown or not counted(ours.opcode) or ours.argval == theirs.argval, theirs
