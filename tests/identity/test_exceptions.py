"""Exceptions come back as they were, whatever the constructors of their classes ask for."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import pytest

from offload.identity.values.decode import decode
from offload.identity.values.encode import encode
from offload.tasks import whole_pickles
from offload.transport import pickling


class Keyword(Exception):
    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class Two(ValueError):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} {b}")


class Wordy(Exception):
    """Would say it twice if it were made of its `args`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"number {number}")


class Silent(LookupError):
    def __init__(self, key: str, *, table: dict[str, int]) -> None:
        self.key, self.table = key, table


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Frozen(Exception):
    code: int
    where: str


class Computed(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__("no")
        self._code = code

    @property
    def code(self) -> int:
        return self._code


class New(Exception):
    code: int

    def __new__(cls, *, code: int) -> Self:
        self = super().__new__(cls, "new")
        self.code = code
        return self

    def __init__(self, *, code: int) -> None:
        super().__init__("made")


class Gone(OSError):
    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(2, "gone", path)
        self.why = why


class NoModule(ImportError):
    def __init__(self, *, module: str) -> None:
        super().__init__("no module", name=module, path="/there")


class Undecodable(UnicodeDecodeError):
    def __init__(self) -> None:
        super().__init__("utf-8", b"\xff", 0, 1, "because")


class Syntax(SyntaxError):
    def __init__(self, line: int, *, code: int) -> None:
        self.lineno, self.code = line, code


class Group(ExceptionGroup[Exception]):
    extra: int

    def __new__(cls, errors: list[Exception], extra: int) -> Self:
        self = super().__new__(cls, "several", errors)
        self.extra = extra
        return self


MAKE: list[Callable[[], BaseException]] = [
    lambda: Keyword("no", code=3),
    lambda: Two(1, 2),
    lambda: Wordy(7),
    lambda: Silent("k", table={"a": 1}),
    lambda: Slotted("no", code=3),
    lambda: Frozen(3, where="here"),
    lambda: Computed(code=3),
    lambda: New(code=3),
    lambda: Gone("/tmp/x", why="removed"),
    lambda: NoModule(module="m"),
    Undecodable,
    lambda: Syntax(3, code=4),
    lambda: Group([Two(1, 2)], 5),
    lambda: ExceptionGroup("group", [Keyword("no", code=3), ValueError(2)]),
]


def shown(error: Any) -> object:
    """Return all that is to be seen of an exception."""
    names = ("errno", "filename", "name", "path", "reason", "lineno", "message", "code", "__notes__")
    return (
        *(type(error), str(error), [shown(one) if isinstance(one, Exception) else one for one in _flat(error.args)]),
        *(dict(vars(error)), {name: getattr(error, name, None) for name in names}),
        [shown(one) for one in getattr(error, "exceptions", ())],
    )


def _flat(args: tuple[Any, ...]) -> list[Any]:
    return [one for arg in args for one in (arg if isinstance(arg, list) else [arg])]


@pytest.mark.parametrize("make", MAKE, ids=[type(make()).__name__ for make in MAKE])
def test_round_trip(make: Callable[[], BaseException]) -> None:
    error = make()
    error.__dict__["__notes__"] = ["by the way"]
    data = encode(error)
    found = decode(data)
    assert shown(found) == shown(error)
    assert encode(found) == data
    assert shown(pickle.loads(whole_pickles.dumps(error)[0])) == shown(error)
    assert shown(pickle.loads(pickling.dumps(error))) == shown(error)


def test_one_that_leads_back_to_itself() -> None:
    error = Keyword("no", code=3)
    error.me = [error]  # type: ignore[attr-defined]
    found = pickle.loads(whole_pickles.dumps(error)[0])
    assert found.me[0] is found
    assert found.code == 3


def test_what_it_holds_counts() -> None:
    assert encode(Keyword("no", code=3)) != encode(Keyword("no", code=4))
