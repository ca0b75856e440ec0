"""Classes that go by value are the same where they arrive."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CLASSES = {
    "slot": "class Sent: __slots__ = 'one'",
    "no slots": "class Sent: __slots__ = ()",
    "private slot": "class Sent: __slots__ = ('__own', '__weakref__')",
    "slots beside a dict": "class Sent: __slots__ = ('side', '__dict__')",
    "documented slots": "class Sent: __slots__ = {'k': 'the k'}",
    "slots of a base": "class Base: __slots__ = ('a',)\nclass Sent(Base): __slots__ = ('b',)",
    "exception": "class Sent(ValueError): __slots__ = ('code',)",
    "something in the place of a slot": "class Sent: __slots__ = ('a', 'b')\nSent.a = 1",
    "dataclass": "import dataclasses\n@dataclasses.dataclass(slots=True, weakref_slot=True)\nclass Sent: x: int = 3",
    "generic": "import typing\nT = typing.TypeVar('T')\nclass Sent(typing.Generic[T]): __slots__ = ('x',)",
    "protocol": "import typing\nclass Sent(typing.Protocol):\n __slots__ = ()\n def f(self) -> int: ...",
    "abstract": "import abc\nclass Sent(abc.ABC):\n __slots__ = ('z',)\n @abc.abstractmethod\n def f(self): ...",
    "named tuple": "import typing\nclass Sent(typing.NamedTuple):\n a: int\n b: int = 3",
    "of a namedtuple": "import collections\nclass Sent(collections.namedtuple('Of', 'p q')): __slots__ = ()",
    "attrs": "import attrs\n@attrs.define\nclass Base: y: int = 1\n@attrs.frozen\nclass Sent(Base): z: int = 2",
    "members of a base": "class Base:\n n = 1\n def f(self): return 1\nclass Sent(Base):\n n = 1\n f = Base.f",
    "order": "class Sent:\n z = 1\n a = 2",
    "metaclass": "class M(type):\n def __new__(m, n, b, names): return super().__new__(m, n, b, names)\n"
    "class Sent(metaclass=M): __slots__ = ('q',)",
}
SEND = """
from offload.transport.pickling import dumps
from offload.identity.functions.identify import closure
order = None if "__slots__" in vars(Sent) else [name for name in vars(Sent) if name[0] != "_"]
with open("sent", "wb") as file:
    file.write(dumps((order, Sent, closure(Sent).checksum, Sent.__dictoffset__, Sent.__weakrefoffset__)))
"""
RECEIVE = """
import pickle
from offload.identity.functions.identify import closure
with open("sent", "rb") as file:
    order, sent, *expected = pickle.load(file)
assert [closure(sent).checksum, sent.__dictoffset__, sent.__weakrefoffset__] == expected, vars(sent)
assert order in (None, [name for name in vars(sent) if name[0] != "_"])
"""


@pytest.mark.parametrize("text", CLASSES.values(), ids=CLASSES)
def test_a_class_that_goes_by_value_is_the_same_there(text: str, tmp_path: Path) -> None:
    for script in (f"{text}\n{SEND}", RECEIVE):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
