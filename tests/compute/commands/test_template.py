"""Placeholders."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from offload.compute.commands.template import expand, uses

ARGUMENTS = st.text(st.characters(exclude_characters="\0"), min_size=1)


@given(ARGUMENTS)
def test_an_argument_is_never_looked_into(argument: str) -> None:
    assert expand("{}", argument, 1) == argument
    assert expand("<{}|{}>", argument, 1) == f"<{argument}|{argument}>"


@given(ARGUMENTS)
def test_parts_belong_together(argument: str) -> None:
    directory, name = expand("{//}", argument, 1), expand("{/}", argument, 1)
    assert name == os.path.basename(argument)
    if "/" not in argument:
        assert directory == "."
    else:
        assert argument.endswith(f"/{name}")
    stem = expand("{/.}", argument, 1)
    assert name.startswith(stem)
    assert expand("{.}", argument, 1) == argument[: len(argument) - len(name)] + stem


def test_extensions() -> None:
    cases = {"a.txt": "a", "a.tar.gz": "a.tar", ".hidden": ".hidden", "dir.d/a": "dir.d/a", "dir.d/.x": "dir.d/.x"}
    assert {argument: expand("{.}", argument, 1) for argument in cases} == cases
    assert expand("{//}", "/a", 1) == "/"


def test_numbers_and_other_braces() -> None:
    assert expand("{#}:{x}:{}:{ }:${VAR}", "a", 12) == "12:{x}:a:{ }:${VAR}"


def test_uses() -> None:
    assert uses(["a", "b{/.}c"])
    assert not uses(["{x}", "{ }", "{}"[:1], "${A}"])
