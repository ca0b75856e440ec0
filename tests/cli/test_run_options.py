"""The two parsers of ``offload run``'s options: the quick one, and click's."""

from __future__ import annotations

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offload.cli.run.options import OPTIONS, Parsed, click_command, parse

VALUES = st.one_of(
    st.sampled_from(["", "-", "a", "K=V", "--", "-q", "none", "x y", "="]),
    st.text(st.characters(exclude_characters="\0"), max_size=5),
)
WORDS = st.one_of(
    st.sampled_from([option.names for option in OPTIONS if option.metavar is None])
    .flatmap(st.sampled_from)
    .map(lambda name: [name]),
    st.builds(
        lambda names, which, value, joined: (
            [names[which % len(names)], value]
            if not joined
            else [names[-1] + "=" + value]
            if names[-1].startswith("--")
            else [names[0] + value]
        ),
        st.sampled_from([option.names for option in OPTIONS if option.metavar is not None]),
        st.integers(0, 1),
        VALUES,
        st.booleans(),
    ),
)
COMMANDS = st.lists(st.sampled_from(["ls", "-l", "--", "-q", "--input", "x", ":::", "-"]), min_size=1, max_size=4)


def by_click(words: list[str]) -> Parsed:
    taken: list[Parsed] = []

    def take(parsed: Parsed) -> int:
        taken.append(parsed)
        return 0

    click_command(take).main(words, standalone_mode=False)
    return taken[0]


def values(parsed: Parsed) -> dict[str, object]:
    return {name: getattr(parsed, name) for name in Parsed.__slots__}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.lists(WORDS, max_size=4), COMMANDS)
def test_what_the_quick_one_understands_click_understands_alike(groups: list[list[str]], command: list[str]) -> None:
    words = [word for group in groups for word in group] + ["--", *command]
    parsed = parse(words)
    if parsed is not None:
        assert values(parsed) == values(by_click(words))


@pytest.mark.parametrize(
    "words", [["-i", "a", "-j4", "--output=b", "-q", "ls", "-l"], ["--no-detect", "--", "ls"], ["ls"]]
)
def test_plain_command_lines_need_no_click(words: list[str]) -> None:
    assert parse(words) is not None


@pytest.mark.parametrize(
    "words", [["-qi", "x", "--", "ls"], ["--inp", "x", "--", "ls"], ["--quiet=1", "ls"], [], ["-i"]]
)
def test_the_rest_is_left_to_click(words: list[str]) -> None:
    assert parse(words) is None


def test_every_option_is_in_the_help() -> None:
    command = click_command(lambda parsed: 0)
    text = command.get_help(click.Context(command))
    assert [name for option in OPTIONS for name in option.names if name not in text] == []
