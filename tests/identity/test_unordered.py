"""Sets and mappings of libraries that have no order count the same in each process, whatever the hash seed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MAKE = {
    "rpds": "rpds.HashTrieMap(zip(WORDS, range(9))), rpds.HashTrieSet(WORDS), rpds.HashTrieSet([(w, 1) for w in 'ab'])",
    "immutables": "immutables.Map(zip(WORDS, range(9)))",
    "pyrsistent": "pyrsistent.pmap(dict(zip(WORDS, range(9)))), pyrsistent.pset(WORDS)",
    "jsonschema": "jsonschema.Draft202012Validator({'type': 'integer'})",
}
PROGRAM = """
import {name}
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode, identify

WORDS = "one two three four five six seven eight nine".split()
made = [{make}]
print(identify(made), decode(encode(made)) == made or {name!r} == "jsonschema")
"""


@pytest.mark.parametrize("name", MAKE)
def test_the_same_in_each_process(name: str) -> None:
    pytest.importorskip(name)
    text = PROGRAM.format(name=name, make=MAKE[name])
    found = set()
    for seed in "123":
        done = subprocess.run(
            [sys.executable, "-c", text], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
    assert found.pop().endswith("True\n")
