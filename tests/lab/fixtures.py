"""The fixtures `lab` and `lab_for_module`: one lab, brought up for the first test that asks, serves the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab
from tests.lab.machine import NotHere
from tests.requirements import requires


@pytest.fixture(scope="session")
def lab_of_session() -> Iterator[Lab]:
    """The hosts ``login``, ``h1``, ``h2``, ``c1``, ``c2``; use `lab` or `lab_for_module`, which put them back."""
    try:
        lab = Lab.up()
    except NotHere as error:
        requires(False, str(error))
        raise
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture
def lab(lab_of_session: Lab) -> Iterator[Lab]:
    """Hosts as newly installed, put back after the test."""
    try:
        yield lab_of_session
    finally:
        lab_of_session.reset()


@pytest.fixture(scope="module")
def lab_for_module(lab_of_session: Lab) -> Iterator[Lab]:
    """The same for all tests of a module; no test of such a module may use `lab`."""
    try:
        yield lab_of_session
    finally:
        lab_of_session.reset()
