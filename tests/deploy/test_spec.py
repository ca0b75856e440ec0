"""Specs, names and port ranges: what is accepted, kept and refused."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from distributed.worker_memory import parse_memory_limit

from offload.deploy.config.spec import Spec
from offload.errors import UsageError
from offload.registry.deployments import check_name
from offload.util.quantities import parse_ports


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a/b", "..", "x" * 64])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize("text", ["", "a", "1-b", "0", "5-4", "1-70000", "-3"])
def test_ranges_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ports(text)


def test_a_spec_is_the_same_after_it_was_kept() -> None:
    spec = Spec(name="hpc", workers=3, ports=(60001, 60100), scratch="/scratch")
    assert Spec.from_json(spec.to_json()) == spec


def test_a_spec_of_a_newer_version_is_refused() -> None:
    values = {**json.loads(Spec().to_json()), "version": 99}
    with pytest.raises(UsageError, match="newer"):
        Spec.from_json(json.dumps(values))


@pytest.mark.parametrize("wrong", [{"workers": -1}, {"threads": 0}, {"name": "No"}])
def test_choices_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Spec(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_limit": "foo"}, {"memory_limit": "-3"}, {"memory_limit": "4 GBs"}, {"memory_limit": ""},
        {"memory_limit": "90"}, {"memory_limit": "4000"}, {"memory_limit": "1K"}, {"memory_limit": "2 KiB"},
        {"port": 0}, {"port": -1}, {"port": 70000}, {"ports": (5, 4)}, {"ports": (0, 5)},
        {"ports": (60001, 60004), "workers": 1}, {"workers": 10**9}, {"minimum": 0, "maximum": 10**9},
        {"workers": "two"}, {"workers": None}, {"threads": True}, {"scratch": "not/absolute"},
        {"host": ""}, {"host": "0.0.0.0"}, {"host": "::1"},
    ],
)  # fmt: skip
def test_choices_that_would_fail_only_later(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Spec(**wrong)


@pytest.mark.parametrize("limit", ["auto", "0", "4GB", "500 MiB", "1.5g", "0.5", "4000000000"])
def test_amounts_of_memory_as_dask_takes_them(limit: str) -> None:
    assert Spec(memory_limit=limit).memory_limit == limit
    told = parse_memory_limit(limit, 1, 1, logger=logging.getLogger("limits"))
    assert (told is None) == (limit == "0")
