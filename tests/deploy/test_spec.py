"""Specs, names and port ranges: what is accepted, kept and refused."""

from __future__ import annotations

import json

import pytest

from offload.compute.places import check_name
from offload.deploy.spec import Spec, parse_ports
from offload.errors import UsageError


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
