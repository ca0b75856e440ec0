"""Identities do not change unless they are meant to: what people have recorded would not be recalled any more."""

from __future__ import annotations

import json

import pytest

from tests.identity import golden

RECORDED = json.loads(golden.PATH.read_text())


@pytest.mark.skipif(RECORDED["python"] != golden.PYTHON, reason=f"recorded with Python {RECORDED['python']}")
@pytest.mark.parametrize("kind", ["functions", "values", "commands"])
def test_identities_are_what_they_were(kind: str) -> None:
    found, recorded = getattr(golden, kind)(), RECORDED[kind]
    assert found.keys() == recorded.keys(), "record them: python -m tests.identity.golden"
    other = [name for name in recorded if found[name] != recorded[name]]
    assert not other, "if that is meant, say so in CHANGELOG.md, and record them: python -m tests.identity.golden"
