"""What every site does: commands run on it as they would here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from offload.errors import OffloadError, UsageError
from offload.hosts.base import Done, Site, quoted
from offload.hosts.local import Here
from tests.deploy.sites.reaching import ssh_of
from tests.lab import variants
from tests.lab.lab import Lab
from tests.lab.machine import NotHere
from tests.requirements import requires

SHELLS = ("bash", "zsh", "fish", "csh", "tcsh")
SITES = ["here", *(pytest.param(f"ssh with {shell}", marks=pytest.mark.real) for shell in SHELLS)]


@pytest.fixture(scope="module", params=SITES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """This machine, and real hosts whose login shells print text when they begin."""
    shell = request.param.removeprefix("ssh with ")
    if shell == "here":
        with Here() as made:
            yield made
        return
    lab: Lab = request.getfixturevalue("lab_for_module")
    user = "bob" if shell == "tcsh" else "alice"  # it reads the file of csh, too
    try:
        variants.login_shell(lab.host("h1"), user, shell)
    except NotHere as error:
        requires(False, str(error))
    directory = lab.home / shell
    directory.mkdir()
    with ssh_of(lab, f"ssh://{user}@h1", str(directory / "ssh")) as reached:
        reached.open()
        yield reached
    assert list(directory.iterdir()) == []


# What a login shell prints before it runs a command.
OUT, ERR = f"{variants.GREETING}\n".encode(), f"{variants.COMPLAINT}\n".encode()


def without_greeting(done: Done) -> Done:
    return dataclasses.replace(done, out=done.out.removeprefix(OUT), err=done.err.removeprefix(ERR))


def test_output_errors_and_exit_code(site: Site) -> None:
    done = without_greeting(site.run(["sh", "-c", "echo out; echo oops >&2; exit 3"], check=False))
    assert (done.out, done.err, done.code, done.said) == (b"out\n", b"oops\n", 3, "oops")


def test_input_of_any_bytes(site: Site) -> None:
    data = bytes(range(256)) * 4096
    assert without_greeting(site.run(["cat"], data)).out == data
    counted = without_greeting(site.run(["wc", "-c"], iter([data, b"", data])))
    assert counted.text.split() == [str(2 * len(data))]


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
    printed = without_greeting(site.run(["printf", "%s|", *words]))
    assert printed.text == "".join(f"{word}|" for word in words)


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
    assert [line for line in told if line != variants.COMPLAINT] == ["one", "two"]


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


def test_lines_that_are_no_trouble_are_no_part_of_the_error() -> None:
    """Steps of a program that broke off, as with its connection, do not stand for why."""
    told: list[str] = []

    def step(line: str) -> bool:
        told.append(line)
        return line.startswith("step:")

    words = ["sh", "-c", "echo no space left >&2; echo step:making keys >&2; exit 3"]
    with Here() as here, pytest.raises(OffloadError) as caught:
        here.run(words, tell=step)
    assert told == ["no space left", "step:making keys"]
    assert caught.value.message == "sh on here ended with 3: no space left"
