"""The record of a command: what counts, and what does not."""

from __future__ import annotations

import hashlib

import pytest

from offload.identity.commands import CommandInput, command_record, identify
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode

CONTENT = hashlib.sha256(b"content").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def record(**changes: object) -> dict[str, object]:
    values: dict[str, object] = {
        "argv": ["sort", "words.txt"],
        "executable": CONTENT,
        "inputs": [CommandInput("words.txt", "file", CONTENT, False)],
        "stdin": None,
        "outputs": ["out.txt"],
        "variables": {"SEED": "1"},
    }
    values.update(changes)
    return command_record(values.pop("argv"), **values)  # type: ignore[arg-type]


def test_the_transformation_is_the_checksum_of_the_record() -> None:
    transformation, data = identify(record())
    assert transformation == hashlib.sha256(data).hexdigest()
    assert decode(data) == record()


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ["sort", "./words.txt"]},
        {"argv": ["sort words.txt"]},
        {"executable": OTHER},
        {"inputs": []},
        {"inputs": [CommandInput("words.txt", "file", OTHER, False)]},
        {"inputs": [CommandInput("words.txt", "file", CONTENT, True)]},
        {"inputs": [CommandInput("words.txt", "directory", CONTENT, False)]},
        {"inputs": [CommandInput("other.txt", "file", CONTENT, False)]},
        {"stdin": CONTENT},
        {"stdin": "open"},
        {"outputs": []},
        {"outputs": ["out.txt", "log"]},
        {"variables": {}},
        {"variables": {"SEED": "2"}},
        {"variables": {"SEED": "1", "N": "1"}},
    ],
)
def test_each_part_counts(change: dict[str, object]) -> None:
    assert identify(record(**change))[0] != identify(record())[0]


def test_the_order_of_inputs_outputs_and_variables_does_not_count() -> None:
    first, second = CommandInput("a", "file", CONTENT, False), CommandInput("b", "file", OTHER, False)
    one = record(inputs=[first, second], outputs=["x", "y"], variables={"A": "1", "B": "2"})
    two = record(inputs=[second, first], outputs=["y", "x"], variables={"B": "2", "A": "1"})
    assert identify(one) == identify(two)


def test_words_that_are_no_text_are_kept_apart() -> None:
    names = ["caf\udce9", "caf\udcea", "caf\xe9"]
    assert len({identify(record(argv=["cat", name]))[0] for name in names}) == 3


def test_commands_that_differ_by_their_words_are_encoded_as_each_by_itself() -> None:
    bare: dict[str, object] = {"inputs": [], "outputs": [], "variables": {}}
    words = [
        ["echo", "a"],
        ["echo", "b"],
        ["argv"],
        ["argv", "echo"],
        ["a" * 1000, *map(str, range(300))],
        ["caf\udce9"],
    ]
    for changes in ({}, {"executable": OTHER}, {"stdin": CONTENT}, {"software": OTHER}, {"order": OTHER}):
        for argv in words:
            one = record(argv=argv, **bare, **changes)
            assert identify(one)[1] == encode(one)
            assert identify({name: one[name] for name in reversed(one)})[1] != encode(one)
