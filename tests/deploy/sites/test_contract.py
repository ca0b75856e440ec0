"""What every site does: commands run on it as they would here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from offload.deploy.sites.base import Site, quoted
from offload.deploy.sites.here import Here
from offload.errors import OffloadError, UsageError


@pytest.fixture(params=["here"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with Here() as made:
        yield made


def test_output_errors_and_exit_code(site: Site) -> None:
    done = site.run(["sh", "-c", "echo out; echo oops >&2; exit 3"], check=False)
    assert (done.out, done.err, done.code, done.said) == (b"out\n", b"oops\n", 3, "oops")


def test_input_of_any_bytes(site: Site) -> None:
    data = bytes(range(256)) * 4096
    assert site.run(["cat"], data).out == data
    assert site.run(["wc", "-c"], iter([data, b"", data])).text.split() == [str(2 * len(data))]


def test_words_arrive_as_they_are(site: Site) -> None:
    words = [
        "two words",
        "$HOME",
        "*",
        "~",
        "a;b|c&d",
        'double"quotes',
        "`x`",
        "{a,b}",
        "#",
        "",
        "ü",
        "-n",
        "(x)",
        "x=y",
    ]
    assert site.run(["printf", "%s\\n".replace("\\n", "|"), *words]).text == "".join(f"{word}|" for word in words)


def test_a_command_that_fails(site: Site) -> None:
    with pytest.raises(OffloadError, match=r"sh on .* ended with 3: oops"):
        site.run(["sh", "-c", "echo oops >&2; exit 3"])


def test_a_command_that_is_not_there(site: Site) -> None:
    assert site.run(["sh", "-c", "exec no-such-program"], check=False).code == 127


def test_a_command_that_takes_too_long(site: Site) -> None:
    with pytest.raises(OffloadError, match=r"sleep on .* was not done after 0.5 s"):
        site.run(["sleep", "60"], seconds=0.5)


def test_what_it_says_is_told_as_it_comes(site: Site) -> None:
    told: list[str] = []
    site.run(["sh", "-c", "echo one >&2; echo two >&2"], tell=told.append)
    assert told == ["one", "two"]


def test_input_that_nobody_reads(site: Site) -> None:
    assert site.run(["true"], iter([b"x" * 1_000_000] * 5)).code == 0


def test_input_that_fails(site: Site) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        site.run(["cat"], broken())


@pytest.mark.parametrize("word", ["it's", "a\\b", "wow!", "two\nlines"])
def test_words_that_shells_disagree_on(word: str) -> None:
    with pytest.raises(UsageError, match="cannot be given to a shell on another machine"):
        quoted(["echo", word])
