"""How two commands differ."""

from __future__ import annotations

import pytest

from offload.commands.why import compare, describe
from offload.identity.commands import CommandInput, command_record

A, B = "a" * 64, "b" * 64


def record(argv: str, **values: object) -> dict[str, object]:
    values.setdefault("executable", A)
    return command_record(argv.split(), **values)  # type: ignore[arg-type]


def file(path: str, checksum: str = A, executable: bool = False) -> CommandInput:
    return CommandInput(path, "file", checksum, executable)


@pytest.mark.parametrize(
    ("earlier", "now", "words"),
    [
        (record("sort a"), record("sort a"), []),
        (record("sort a"), record("sort b"), ["argument 1 was 'a', is 'b'"]),
        (record("sort a"), record("sort -r a"), ["argument 1 is new: '-r'"]),
        (record("sort -r a"), record("sort a"), ["argument 1 is gone; it was '-r'"]),
        (record("x", inputs=[file("f")]), record("x", inputs=[file("f", B)]), ["the input f has other content"]),
        (
            record("x", inputs=[file("f")]),
            record("x", inputs=[file("g")]),
            ["the input f is gone", "the input g is new"],
        ),
        (
            record("x", inputs=[file("f")]),
            record("x", inputs=[file("f", A, True)]),
            ["the input f: its executable bit changed"],
        ),
        (
            record("x", inputs=[file("f")]),
            record("x", inputs=[CommandInput("f", "directory", B, False)]),
            ["the input f: it was a file, is a directory"],
        ),
        (record("x", variables={"A": "1"}), record("x", variables={"A": "2"}), ["the variable A was '1', is '2'"]),
        (record("x"), record("x", variables={"A": "2"}), ["the variable A is new: '2'"]),
        (record("x", outputs=["o"]), record("x"), ["the output o is gone"]),
        (record("x"), record("x", stdin=A), ["the stdin is new"]),
        (record("x", stdin=B), record("x", stdin=A), ["the stdin has other content"]),
        (record("x"), record("x", executable=B), ["the executable has other content"]),
    ],
)
def test_differences(earlier: dict[str, object], now: dict[str, object], words: list[str]) -> None:
    assert [describe(difference) for difference in compare(earlier, now)] == words


def test_many_packages_in_a_line() -> None:
    packages = [f"p{number} 1 -> 2" for number in range(30)]
    text = describe({"what": "software", "earlier": "a", "now": "b", "packages": packages})
    assert text.startswith("other packages are installed beside the program: p0 1 -> 2, p1 1")
    assert text.endswith("p11 1 -> 2 and 18 more")
