"""What a call has raised arrives as it was, or as something that says what it was."""

from __future__ import annotations

import asyncio
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import pytest

from offload.errors import UsageError, WorkFailedError
from offload.transport.exceptions import NOTE, Raised


class Plain(Exception):
    pass


class TwoArguments(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class KeywordOnly(Exception):
    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class Wordy(Exception):
    """Would say it twice if it were made of what its `args` hold."""

    def __init__(self, number: int) -> None:
        super().__init__(f"number {number}")


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class OwnOSError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "not there", path)


class OwnDecodeError(UnicodeDecodeError):
    def __init__(self) -> None:
        super().__init__("utf-8", b"\xff", 0, 1, "because")


class Own(BaseException):
    pass


class Locked(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()
        self.code = 3


class OnlyHere(Exception):
    """Is made in the process that raised it, and nowhere else."""

    at_home = True

    def __new__(cls, *args: object) -> Self:
        if not cls.at_home:
            raise RuntimeError("not here")
        return super().__new__(cls, *args)


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class OwnGroup(ExceptionGroup[Exception]):
    pass


def travelled(error: BaseException) -> BaseException:
    """Return an exception as it arrives: raised, sent as bytes, made again."""
    try:
        raise error
    except BaseException as caught:
        raised = Raised(caught)
    sent: Raised = pickle.loads(pickle.dumps(raised))
    return sent.rebuilt()


def syntax_error() -> BaseException:
    try:
        compile("a = = 1", "some.py", "exec")
    except SyntaxError as exc:
        return exc
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no", 3),
        KeyError("name"),
        FileNotFoundError(2, "No such file or directory", "a.txt"),
        OSError(18, "cross-device", "a", None, "b"),
        UnicodeDecodeError("utf-8", b"ab\xff", 2, 3, "invalid start byte"),
        UnicodeEncodeError("ascii", "\xe4", 0, 1, "ordinal not in range"),
        syntax_error(),
        ImportError("no module", name="m", path="/m.py"),
        StopIteration(4),
        AssertionError(),
        asyncio.IncompleteReadError(b"ab", 4),
        UsageError("message", "hint"),
        subprocess.CalledProcessError(3, ["cat"], b"out", b"err"),
        Plain("p"),
        Plain(object),
        TwoArguments(3, "boom"),
        KeywordOnly("boom", code=3),
        Wordy(7),
        Slotted("boom", 3),
        OwnOSError("a.txt"),
        OwnDecodeError(),
        Own("base"),
        Locked("has a lock"),
        Speechless("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_class_words_and_what_it_holds_arrive(error: BaseException) -> None:
    error.add_note("a note")
    arrived = travelled(error)
    assert type(arrived) is type(error)
    assert arrived.args == error.args
    if type(error) is not Speechless:
        assert str(arrived) == str(error)
    names = "code filename filename2 errno object start reason lineno text name path value partial hint stderr".split()
    for name in (name for name in names if hasattr(error, name)):
        assert getattr(arrived, name) == getattr(error, name)
    assert arrived.__notes__[0] == "a note"
    assert arrived.__notes__[-1].startswith(NOTE)
    assert "raise error" in arrived.__notes__[-1]


def test_what_tblib_has_put_in_place_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed  # noqa: F401 - puts tblib's way to pickle exceptions in place

    arrived = travelled(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))
    assert "invalid start byte" in str(arrived)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(), r"the function called sys\.exit\(\)"),
        (SystemExit(3), r"the function called sys\.exit\(3\)"),
        (SystemExit("bye"), r"the function called sys\.exit\('bye'\)"),
        (KeyboardInterrupt(), "the function raised KeyboardInterrupt"),
        (GeneratorExit(), "the function raised GeneratorExit"),
        (asyncio.CancelledError("why"), "the function raised CancelledError: why"),
    ],
)
def test_what_would_end_who_waits_is_an_error_like_others(error: BaseException, words: str) -> None:
    arrived = travelled(error)
    assert isinstance(arrived, WorkFailedError)
    assert re.fullmatch(words, arrived.message)


def test_causes_and_contexts_arrive() -> None:
    try:
        try:
            try:
                raise Locked("first")
            except Locked:
                raise TwoArguments(2, "second")  # noqa: B904 - its context is what counts
        except TwoArguments as exc:
            raise RuntimeError("third") from exc
    except RuntimeError as exc:
        arrived = travelled(exc)
    assert isinstance(arrived.__cause__, TwoArguments)
    assert arrived.__cause__.code == 2
    assert isinstance(arrived.__cause__.__context__, Locked)
    hidden = travelled(_from_none())
    assert isinstance(hidden.__context__, KeyError)
    assert hidden.__suppress_context__


def _from_none() -> BaseException:
    try:
        try:
            raise KeyError("a")
        except KeyError:
            raise ValueError("b") from None
    except ValueError as exc:
        return exc


def test_exceptions_that_are_their_own_causes() -> None:
    error, other = ValueError("a"), ValueError("b")
    error.__cause__, other.__context__ = other, error
    arrived = travelled(error)
    assert str(arrived.__cause__) == "b"


def test_groups_arrive_with_their_members() -> None:
    group = OwnGroup("several", [TwoArguments(1, "a"), ExceptionGroup("inner", [Locked("b")])])
    arrived = travelled(group)
    assert isinstance(arrived, OwnGroup)
    first, second = arrived.exceptions
    assert isinstance(first, TwoArguments)
    assert first.code == 1
    assert isinstance(second, ExceptionGroup)
    assert str(second.exceptions[0]) == "b"
    ends = travelled(BaseExceptionGroup("with", [SystemExit(1), ValueError("v")]))
    assert isinstance(ends, BaseExceptionGroup)


def test_what_cannot_be_made_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        raise OnlyHere("some words")
    except OnlyHere as exc:
        raised = Raised(exc)
    monkeypatch.setattr(OnlyHere, "at_home", False)
    with pytest.raises(WorkFailedError, match=r"test_raised\.OnlyHere: some words") as caught:
        raise raised.rebuilt()
    assert 'raise OnlyHere("some words")' in caught.value.__notes__[-1]


def test_a_class_that_is_known_nowhere_comes_along() -> None:
    class Inner(Exception):
        code = 3

    assert type(travelled(Inner("x"))).__name__ == "Inner"


def test_classes_are_those_of_the_process_that_asked(tmp_path: Path) -> None:
    """Sent by one process, whose script defines the class, to another that runs the same script."""
    script = tmp_path / "script.py"
    script.write_text(
        "import pickle, sys\n"
        "from offload.transport.exceptions import Raised\n"
        "class Mine(Exception): pass\n"
        "if sys.argv[1] == 'send':\n"
        "    sys.stdout.buffer.write(pickle.dumps(Raised(Mine('words'))))\n"
        "else:\n"
        "    try: raise pickle.load(sys.stdin.buffer).rebuilt()\n"
        "    except Mine as exc: print('mine:', exc)\n"
    )
    sent = subprocess.run([sys.executable, script, "send"], stdout=subprocess.PIPE, check=True).stdout
    got = subprocess.run([sys.executable, script, "get"], input=sent, stdout=subprocess.PIPE, check=True).stdout
    assert got == b"mine: words\n"
    passed_on = pickle.dumps(pickle.loads(sent))  # as a service does that has no such class
    assert b"words" in passed_on


def test_a_class_of_a_functions_own_is_caught_by_its_base(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import pickle, sys\n"
        "from offload.transport.exceptions import Raised\n"
        "class Mine(Exception): pass\n"
        "class Other(Mine): pass\n"
        "def make():\n"
        "    class Own(Other):\n"
        "        def kinds(self): return [Own.__qualname__, super().__str__()]\n"
        "    return Own\n"
        "if sys.argv[1] == 'send':\n"
        "    sys.stdout.buffer.write(pickle.dumps(Raised(make()('words'))))\n"
        "else:\n"
        "    try: raise pickle.load(sys.stdin.buffer).rebuilt()\n"
        "    except Mine as exc: print(type(exc).__mro__[1] is Other, exc.kinds())\n"
    )
    sent = subprocess.run([sys.executable, script, "send"], stdout=subprocess.PIPE, check=True).stdout
    got = subprocess.run([sys.executable, script, "get"], input=sent, stdout=subprocess.PIPE, check=True).stdout
    assert got == b"True ['make.<locals>.Own', 'words']\n"


def test_frames_of_offload_are_not_shown(tmp_path: Path) -> None:
    from offload.tasks.execute import execute

    def fails() -> None:
        raise ValueError("x")

    try:
        execute(fails, (), {})
    except ValueError as exc:
        first = Raised(exc).rebuilt()
    (note,) = first.__notes__
    assert "in fails" in note
    assert "executing.py" not in note
    # One that has come from a call within this one has its frames once.
    again = travelled(first)
    (note,) = again.__notes__
    assert note.count(NOTE) == 1
    assert note.count("in fails") == 1
    assert note.count("in travelled") == 1
