"""Requests for jobs: what is accepted, and what is refused before any batch system sees it."""

from __future__ import annotations

from typing import Any

import pytest

from offload.batch import JobRequest, batch_system, parse_memory, parse_walltime
from offload.errors import UsageError


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "1x"},
        {"name": "a b"},
        {"name": "a\nb"},
        {"name": "x" * 300},
        {"command": ()},
        {"command": ("a\nb",)},
        {"cores": 0},
        {"memory": -1},
        {"walltime": 0},
        {"nodes": 0},
        {"nodes": 2, "array": 2},
        {"queue": "a b"},
        {"account": "a\n#SBATCH --x"},
        {"qos": "$(x)"[:1] + "`"},
        {"gpus": "many"},
        {"log": "relative.log"},
        {"log": "/a\nb"},
        {"scratch": "/tmp/$(id)"},
        {"scratch": '/tmp/"'},
        {"directives": ("--a\n#SBATCH --b",)},
        {"directives": ("",)},
        {"constraint": "a\nb"},
        {"prologue": ("a\nb",)},
        {"environment": {"A B": "x"}},
        {"environment": {"A": "x\ny"}},
    ],
    ids=str,
)
def test_what_cannot_be_asked_for(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        JobRequest(**{"name": "a", "command": ("true",), **wrong})


@pytest.mark.parametrize("text", ["", "90", "1:2", "x", "1:2:3:4", "0m", "-5m", "00:00:00", "1.5"])
def test_walltimes_that_could_mean_two_things_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no walltime"):
        parse_walltime(text)


def test_walltimes_as_batch_systems_write_them() -> None:
    assert [parse_walltime(text) for text in ("01:02:03", "1-00:00", "2d", "45s")] == [3723, 86400, 172800, 45]
    assert (parse_walltime("30", alone="m"), parse_walltime("30:00", pair="ms"), parse_walltime("1:30", pair="hm")) == (
        1800,
        1800,
        5400,
    )


@pytest.mark.parametrize("text", ["", "many", "GB", "0", "5XB", "-3GB"])
def test_what_is_no_memory(text: str) -> None:
    with pytest.raises(UsageError, match="is no amount of memory"):
        parse_memory(text)


@pytest.mark.parametrize("text", ["5", "5000", "1K", "9.9MB"])
def test_too_little_memory_for_a_worker(text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}' is too little memory") as caught:
        parse_memory(text)
    assert caught.value.hint == "give a unit, too: 4GB or 500MiB"


def test_a_batch_system_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no batch system cron"):
        batch_system("cron")
