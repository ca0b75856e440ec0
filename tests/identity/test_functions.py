"""Edits that must give a function another identity, and edits that must not."""

from __future__ import annotations

import gc
import re
from weakref import ref

import pytest

import offload
from offload.identity.functions.identify import closure
from tests.identity.edits import CHANGES, EVERY
from tests.identity.projects import edited, identities, write


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The identities before and after each edit; the same in two processes that differ in all that must not count."""
    jobs = []
    for number, one in enumerate(EVERY):
        for state, files in (("before", one.files), ("after", edited(one))):
            directory = tmp_path_factory.mktemp("project")
            write(directory, files)
            jobs.append((f"{number} {state}", directory, one.statements, one.subject))
    plain = identities(jobs, "0")
    traced = identities(jobs, "1", ["trace", "reversed"])
    differing = [EVERY[int(name.split()[0])].name for name in plain if plain[name] != traced[name]]
    assert not differing, f"depend on the hash seed, the order of imports or tracing: {differing}"
    return plain


@pytest.mark.parametrize("number", range(len(EVERY)), ids=[one.name for one in EVERY])
def test_edit(found: dict[str, str], number: int) -> None:
    before, after = found[f"{number} before"], found[f"{number} after"]
    assert re.fullmatch("[0-9a-f]{64}", before), before
    assert re.fullmatch("[0-9a-f]{64}", after), after
    assert (before != after) == (number < len(CHANGES))


def test_a_task_and_its_function_as_an_argument_share_a_graph() -> None:
    def measured(x: object, how: object) -> object:
        return x, how

    task = offload.task(measured)
    graph = task.graph()
    assert closure(measured) is graph
    measured.__defaults__ = (measured,)
    assert task.graph() is not graph
    assert closure(measured) is task.graph()


def test_a_task_of_a_function_that_is_gone_is_gone() -> None:
    def measured(x: int) -> int:
        return x

    gone = ref(measured)
    task = offload.task(measured)
    task.graph()
    del task, measured
    gc.collect()
    assert gone() is None
