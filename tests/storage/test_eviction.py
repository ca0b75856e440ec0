"""Which buffers go first."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from offload.storage.local.eviction import chosen

NOW = 1_000_000.0
DAY = 86_400.0
MB = 1_000_000


def order(rows: list[tuple[str, int, float]], costs: Mapping[str, float], max_size: int = 1) -> list[str]:
    ages = [(name, size, NOW - age) for name, size, age in rows]
    return [name for name, _ in chosen(ages, (), max_size, NOW, lambda: costs)[0]]


def test_the_longest_unused_goes_first() -> None:
    assert order([("new", MB, DAY), ("old", MB, 3 * DAY), ("middle", MB, 2 * DAY)], {}) == ["old", "middle", "new"]


@pytest.mark.parametrize(("days", "first"), [(1.9, "cheap"), (2.1, "dear")])
def test_a_second_for_each_megabyte_counts_twice(days: float, first: str) -> None:
    rows = [("dear", 100 * MB, days * DAY), ("cheap", 100 * MB, DAY)]
    assert order(rows, {"dear": 100.0}, 150 * MB) == [first]


def test_what_is_small_is_not_worth_the_more_for_it() -> None:
    rows = [("tiny", 1, 8 * DAY), ("small", 4000, 6 * DAY)]
    assert order(rows, {"tiny": 1.0, "small": 1.0}, 4000) == ["tiny"]


def test_what_can_never_stay_goes_first() -> None:
    rows = [("huge", 100 * MB, 0.0), ("old", MB, 9 * DAY), ("new", MB, DAY)]
    assert order(rows, {"huge": 1e9}, 10 * MB) == ["huge"]
    assert order(rows, {"huge": 1e9}, MB) == ["huge", "old"]


def test_a_clock_that_was_set_back_does_no_harm() -> None:
    assert order([("later", MB, -DAY), ("now", MB, 1.0)], {}, MB) == ["now"]


def test_costs_are_asked_only_when_they_matter() -> None:
    def costs() -> Mapping[str, float]:
        raise AssertionError

    rows = [("one", MB, 0.0), ("two", MB, 0.0)]
    assert chosen(rows, (), 2 * MB, NOW, costs) == ([], 0)
    assert len(chosen(rows, (), 0, NOW, costs)[0]) == 2
    assert chosen(rows, ("one", "two"), 1, NOW, dict) == ([], 2)
