"""Objects of libraries that a program keeps in globals: they have an identity, the same in each process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from offload.errors import EncodeError
from offload.identity.values.encode import identify

PROGRAM = """
import datetime, functools, json, sys
import numpy as np
import scipy.stats
from typing import Annotated
from pydantic import AfterValidator, BaseModel, TypeAdapter, computed_field, validate_call
from scipy.stats import norm
from offload.identity.functions.identify import closure
from offload.identity.values.encode import identify

DECODE = json.JSONDecoder(object_hook=lambda found: found).decode
YEAR = datetime.date.year
FROZEN = norm(2)
VECTOR = np.frompyfunc(lambda a: a + 1, 1, 1)
PROPERTIES = {"a": property(lambda self: 1)}

class Model(BaseModel):
    x: int

    @computed_field
    @property
    def twice(self) -> int:
        return 2 * self.x

MODELS = TypeAdapter(list[Model])
NAMED = TypeAdapter("dict[str, Model]")
ABOVE = TypeAdapter(Annotated[int, AfterValidator(lambda a: a + 7)])

@validate_call
def checked(a: int) -> int:
    return a + 1

def functions():
    yield lambda x: norm.pdf(x)
    yield lambda x: FROZEN.pdf(x)
    yield lambda x: DECODE(x)
    yield lambda x: YEAR.__get__(x)
    yield lambda x: VECTOR(x)
    yield lambda x: Model(x=x).twice
    yield lambda x: checked(x)
    yield lambda x: MODELS.validate_python(x)
    yield lambda x: NAMED.validate_json(x)
    yield lambda x: ABOVE.validate_python(x)
    yield lambda x: PROPERTIES["a"].fget(x)

for function in functions():
    print(closure(function).checksum)
print(identify(FROZEN), identify(Model(x=1)))
"""


def printed(program: Path, seed: int) -> str:
    done = subprocess.run(
        [sys.executable, str(program)],
        env={"PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_they_are_the_same_in_each_process_and_their_code_counts(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    first = printed(program, 1)
    assert printed(program, 2) == first
    edits = {
        "found: found).decode": "found: dict(found)).decode",
        "a + 1, 1": "a + 2, 1",
        "2 * self.x": "3 * self.x",
        "a + 7": "a + 8",
    }
    edits |= {"return a + 1": "return a + 3", "lambda self: 1": "lambda self: 2"}
    for old, new in edits.items():
        program.write_text(PROGRAM.replace(old, new))
        assert printed(program, 1) != first, old


class Endless:
    """Makes up another one each time that it is looked at."""

    def __reduce__(self) -> tuple[type, tuple[()], dict[str, object]]:
        return SimpleNamespace, (), {"next": Endless()}


def test_what_never_ends_is_a_short_error() -> None:
    with pytest.raises(EncodeError) as caught:
        identify(Endless())
    assert caught.value.__cause__ is None
    assert "nested" in caught.value.message or "anew each time" in caught.value.message
