"""Placeholders."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from offload.commands.placeholders import expand, expand_words, uses

ARGUMENTS = st.text(st.characters(exclude_characters="\0"), min_size=1)


@given(ARGUMENTS)
def test_an_argument_is_never_looked_into(argument: str) -> None:
    assert expand("{}", [argument], 1) == argument
    assert expand("<{}|{}>", [argument], 1) == f"<{argument}|{argument}>"


@given(ARGUMENTS)
def test_parts_belong_together(argument: str) -> None:
    directory, name = expand("{//}", [argument], 1), expand("{/}", [argument], 1)
    assert name == os.path.basename(argument)
    if "/" not in argument:
        assert directory == "."
    else:
        assert argument.endswith(f"/{name}")
    stem = expand("{/.}", [argument], 1)
    assert name.startswith(stem)
    assert expand("{.}", [argument], 1) == argument[: len(argument) - len(name)] + stem


def test_extensions() -> None:
    cases = {"a.txt": "a", "a.tar.gz": "a.tar", ".hidden": ".hidden", "dir.d/a": "dir.d/a", "dir.d/.x": "dir.d/.x"}
    assert {argument: expand("{.}", [argument], 1) for argument in cases} == cases
    assert expand("{//}", ["/a"], 1) == "/"


def test_numbers_and_other_braces() -> None:
    assert expand("{#}:{x}:{}:{ }:${VAR}", ["a"], 12) == "12:{x}:a:{ }:${VAR}"


def test_uses() -> None:
    assert uses(["a", "b{/.}c"])
    assert not uses(["{x}", "{ }", "{}"[:1], "${A}"])


def test_columns() -> None:
    row = ["in/a.csv", "b c", "3"]
    cases = {"{2}": "b c", "{1/.}-{3}": "a-3", "{1//}": "in", "{4}x{0}": "{4}x{0}", "{/}": "a.csv b c 3", "{#}": "7"}
    assert {word: expand(word, row, 7) for word in cases} == cases
    assert expand_words(["{}", "x{}", "{2}"], row, 1) == [*row, "xin/a.csv b c 3", "b c"]
    assert uses(["{3}"], 3) and not uses(["a{4}"], 3)


def test_a_repetition_of_a_pattern_is_no_column() -> None:
    assert expand("^[0-9]{4}$", ["file"], 1) == "^[0-9]{4}$"
    assert not uses(["^[0-9]{4}$"])
