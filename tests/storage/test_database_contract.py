"""What every database does, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from offload.errors import ChecksumMismatchError, UsageError
from offload.identity.checksums import checksum
from offload.storage.database import Database, Entry, Pruned, Result, Transformation
from tests.storage.conftest import Clock
from tests.storage.service.serving import ServedDatabase

ABSENT = checksum(b"absent")


def entry(
    number: int,
    result: str = "result",
    status: str = "complete",
    *,
    kind: str = "python",
    label: str = "module:f",
    started: float = 0.0,
    replace: bool = False,
) -> Entry:
    record = b"record %d" % number
    function = checksum(b"function") if kind == "python" else None
    return Entry(
        checksum(record),
        kind,
        label,
        function,
        record,
        checksum(result.encode()),
        status,
        started,
        0.25,
        b"details %d" % number,
        replace,
    )


def name(number: int) -> str:
    return entry(number).transformation


def test_what_was_recorded_is_looked_up(database: Database) -> None:
    assert database.lookup([name(1)]) == [None]
    assert database.record([entry(1, "one"), entry(2, "two")]) == ["recorded", "recorded"]
    assert database.lookup([name(1)]) == [checksum(b"one")]
    assert database.lookup([ABSENT, name(2), name(1), name(2)]) == [
        None,
        checksum(b"two"),
        checksum(b"one"),
        checksum(b"two"),
    ]


def test_large_batches(database: Database) -> None:
    entries = [entry(number, str(number)) for number in range(3000)]
    assert database.record(entries) == ["recorded"] * 3000
    asked = [ABSENT, *(e.transformation for e in reversed(entries))]
    assert database.lookup(asked) == [None, *(e.result for e in reversed(entries))]


def test_empty_batches(database: Database) -> None:
    assert database.record([]) == []
    assert database.lookup([]) == []
    assert database.results([]) == []
    assert database.producers([]) == []
    assert database.forget([]) == 0


def prepared(database: Database) -> None:
    """Record runs of days 0 to 5; of 1 and 2 there are two; 3 is forgotten, 4 has no buffers, 0 is not complete."""
    for number, day in ((0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (1, 2), (2, 4), (5, 5)):
        status = "scratch" if number == 0 else "complete"
        database.record([entry(number, f"result {number}", status, started=float(day))])
    database.forget([name(3)])
    keep(database, *(f"result {number}" for number in (0, 1, 2, 3, 5)))


def keep(database: Database, *results: str) -> None:
    """Put what results consist of where a service looks for it, which has a store of its own."""
    if isinstance(database, ServedDatabase):
        database.served.store.put([result.encode() for result in results])


def kept(checksums: Sequence[str]) -> list[bool]:
    return [one != checksum(b"result 4") for one in checksums]


def test_old_runs_go_and_results_that_can_be_recalled_stay(database: Database) -> None:
    prepared(database)
    everything = list(map(name, range(6)))
    before = database.lookup(everything), database.runs()
    assert database.prune(3.0, kept, dry_run=True) == Pruned(5, 3)
    assert (database.lookup(everything), database.runs()) == before
    assert database.prune(3.0, kept) == Pruned(5, 3)
    results = [None, *(checksum(b"result %d" % number) for number in (1, 2)), None, None, checksum(b"result 5")]
    assert database.lookup(everything) == results
    assert [(run.transformation, run.started) for run in database.runs()] == [
        (name(5), 5.0),
        (name(2), 4.0),
        (name(1), 2.0),
    ]
    assert [database.transformation(one) is not None for one in everything] == [False, True, True, False, False, True]
    assert database.statistics()["transformations"] == 3
    assert database.prune(3.0, kept) == Pruned(0, 0)
    assert database.record([entry(3, "result 3"), entry(1, "other")]) == ["recorded", "irreproducible"]
    assert len({run.id for run in database.runs()}) == 5


def test_the_run_that_gave_the_result_stays_with_it(database: Database) -> None:
    database.record([entry(1, "first", started=1.0)])
    database.record([entry(1, "first", started=2.0)])
    database.record([entry(1, "other", started=3.0)])
    database.record([entry(2, started=9.0)])
    keep(database, "first")
    database.prune(5.0, kept)
    assert [run.started for run in database.runs(transformation=name(1))] == [3.0, 2.0]


def test_the_newest_stays_whatever_it_is(database: Database) -> None:
    database.record([entry(1, started=1.0), entry(2, started=1.0)])
    database.forget([name(1), name(2)])
    assert database.prune(5.0, kept) == Pruned(1, 1)
    assert [run.transformation for run in database.runs()] == [name(2)]
    assert database.prune(5.0, kept) == Pruned(0, 0)


def test_of_no_history_nothing_is_pruned(database: Database) -> None:
    assert database.prune(5.0, kept) == Pruned(0, 0)


def test_the_same_result_again(database: Database) -> None:
    assert database.record([entry(1), entry(1)]) == ["recorded", "same"]
    assert database.record([entry(1)]) == ["same"]
    assert [run.outcome for run in database.runs()] == ["same", "same", "recorded"]


def test_a_different_result_never_overwrites(database: Database) -> None:
    database.record([entry(1, "first")])
    assert database.record([entry(1, "second")]) == ["irreproducible"]
    assert database.lookup([name(1)]) == [checksum(b"first")]
    assert [run.outcome for run in database.runs()] == ["irreproducible", "recorded"]
    assert [run.result for run in database.runs()] == [checksum(b"second"), checksum(b"first")]
    assert database.statistics()["irreproducible"] == 1


def test_a_result_whose_buffers_are_lost_is_replaced(database: Database) -> None:
    database.record([entry(1, "first")])
    assert database.record([entry(1, "first", replace=True)]) == ["same"]
    assert database.record([entry(1, "second", replace=True)]) == ["replaced"]
    assert database.lookup([name(1)]) == [checksum(b"second")]
    assert database.runs()[0].outcome == "replaced"


@pytest.mark.parametrize("status", ["scratch", "foreign"])
def test_only_complete_results_are_recalled(database: Database, status: str, clock: Clock) -> None:
    assert database.record([entry(1, status=status)]) == ["recorded"]
    assert database.lookup([name(1)]) == [None]
    assert database.lookup([name(1), name(1)]) == [None, None]
    assert database.results([name(1), ABSENT]) == [Result(checksum(b"result"), status, clock.now), None]
    assert database.record([entry(1, status=status)]) == ["same"]
    assert database.record([entry(1)]) == ["recorded"]
    assert database.lookup([name(1)]) == [checksum(b"result")]
    assert database.record([entry(1, status=status)]) == ["same"]
    assert database.lookup([name(1)]) == [checksum(b"result")]


def test_a_complete_result_takes_the_place_of_a_different_scratch_one(database: Database) -> None:
    database.record([entry(1, "first", "scratch")])
    assert database.record([entry(1, "other", "scratch")]) == ["irreproducible"]
    assert database.record([entry(1, "second")]) == ["irreproducible"]
    assert database.lookup([name(1)]) == [checksum(b"second")]
    assert database.record([entry(1, "third", "scratch", replace=True)]) == ["irreproducible"]
    assert database.lookup([name(1)]) == [checksum(b"second")]


def test_a_record_that_is_not_the_transformation_is_refused(database: Database) -> None:
    good, bad = entry(1), entry(2)
    bad.record = b"something else"
    with pytest.raises(ChecksumMismatchError, match="module:f"):
        database.record([good, bad])
    assert database.lookup([name(1), name(2)]) == [None, None]
    assert database.runs() == []
    bad.status = "foreign"
    assert database.record([bad]) == ["recorded"]


def test_transformations_are_found_by_their_first_digits(database: Database, clock: Clock) -> None:
    database.record([entry(number, started=5.0) for number in range(40)])
    wanted = Transformation(name(7), "python", "module:f", checksum(b"function"), b"record 7", 5.0)
    assert database.transformation(name(7)) == wanted
    assert database.transformation(name(7)[:12]) == wanted
    assert database.transformation(ABSENT) is None
    with pytest.raises(UsageError, match="several"):
        database.transformation(next(digit for digit in "0123456789abcdef" if shared(digit) > 1))


def shared(digit: str) -> int:
    return sum(name(number).startswith(digit) for number in range(40))


@pytest.mark.parametrize("text", ["", "xyz", "ABC", "0" * 65, "0g", "%"])
def test_what_is_no_checksum(database: Database, text: str) -> None:
    with pytest.raises(UsageError, match="no checksum"):
        database.transformation(text)


def test_first_seen_is_the_first_start(database: Database, clock: Clock) -> None:
    database.record([entry(1, started=10.0)])
    database.record([entry(1, started=20.0), entry(2)])
    first, second = database.transformation(name(1)), database.transformation(name(2))
    assert first is not None and first.first_seen == 10.0
    assert second is not None and second.first_seen == clock.now


def test_nearest_gives_the_newest_of_the_same_label(database: Database) -> None:
    database.record([entry(number) for number in range(5)])
    database.record([entry(5, label="module:g"), entry(6, kind="command")])
    assert [t.checksum for t in database.nearest("python", "module:f", limit=3)] == [name(4), name(3), name(2)]
    assert [t.checksum for t in database.nearest("command", "module:f")] == [name(6)]
    assert database.nearest("command", "module:g") == []


def test_producers(database: Database, clock: Clock) -> None:
    database.record([entry(2, "shared")])
    clock.now += 1
    database.record([entry(1, "shared"), entry(3, "own")])
    asked = [checksum(b"own"), ABSENT, checksum(b"shared"), checksum(b"own")]
    assert database.producers(asked) == [[name(3)], [], [name(2), name(1)], [name(3)]]


def test_runs_tell_everything(database: Database) -> None:
    database.record([entry(1, started=50.0)])
    [run] = database.runs()
    assert (run.transformation, run.kind, run.label) == (name(1), "python", "module:f")
    assert (run.result, run.status, run.outcome) == (checksum(b"result"), "complete", "recorded")
    assert (run.started, run.seconds, run.details, run.forgotten) == (50.0, 0.25, b"details 1", False)


def test_runs_are_chosen(database: Database) -> None:
    database.record([entry(1, started=10.0), entry(2, started=20.0, label="module:100%_g")])
    database.record([entry(3, started=30.0, kind="command", label="sort Words.txt"), entry(1, started=40.0)])

    def starts(**wanted: object) -> list[float]:
        return [run.started for run in database.runs(**wanted)]  # type: ignore[arg-type]

    assert starts() == [40.0, 30.0, 20.0, 10.0]
    assert starts(limit=2) == [40.0, 30.0]
    assert starts(kind="command") == [30.0]
    assert starts(label="module:f") == [40.0, 10.0]
    assert starts(label="module") == []
    assert starts(label="module:*") == [40.0, 20.0, 10.0]
    assert starts(label="module:*", text="_G") == [20.0]
    assert starts(text="WORDS") == [30.0]
    assert starts(text="%_") == [20.0]
    assert starts(text="!") == []
    assert starts(since=20.0, kind="python") == [40.0, 20.0]
    assert starts(transformation=name(1)) == [40.0, 10.0]
    assert starts(transformation=ABSENT) == []


def test_forgotten_results_are_no_longer_recalled(database: Database) -> None:
    database.record([entry(1), entry(2)])
    assert database.forget([name(1), ABSENT]) == 1
    assert database.forget([name(1)]) == 0
    assert database.lookup([name(1)]) == [None]
    assert database.results([name(1)]) == [None]
    assert database.producers([checksum(b"result")]) == [[name(2)]]
    assert [run.forgotten for run in database.runs()] == [False, True]
    assert database.transformation(name(1)) is not None


def test_a_forgotten_result_may_be_recorded_anew(database: Database) -> None:
    database.record([entry(1, "first")])
    database.forget([name(1)])
    assert database.record([entry(1, "second")]) == ["recorded"]
    assert database.lookup([name(1)]) == [checksum(b"second")]
    assert [run.forgotten for run in database.runs()] == [False, True]
    assert database.statistics()["transformations"] == 1


def test_find(database: Database) -> None:
    database.record([entry(1), entry(2, label="module:g"), entry(3, kind="command", label="mod%"), entry(4)])
    database.forget([name(4)])
    assert database.find() == [name(3), name(2), name(1)]
    assert database.find(kind="python") == [name(2), name(1)]
    assert database.find(label="module:f") == [name(1)]
    assert database.find(label="mod") == []
    assert database.find(label="mod*") == [name(3), name(2), name(1)]
    assert database.find(label="mod%*", kind="command") == [name(3)]
    assert database.find(label="*") == [name(3), name(2), name(1)]
    assert database.find(text="ODULE") == [name(2), name(1)]
    assert database.find(text="d%") == [name(3)]


def test_statistics(database: Database) -> None:
    assert set(database.statistics().values()) == {0}
    database.record([entry(1), entry(1), entry(2, status="scratch"), entry(3, status="foreign"), entry(4)])
    database.forget([name(4)])
    assert database.statistics() == {
        "transformations": 4,
        "complete": 1,
        "scratch": 1,
        "foreign": 1,
        "runs": 5,
        "irreproducible": 0,
    }


def test_many_threads_at_once(database: Database) -> None:
    def work(worker: int) -> list[str]:
        outcomes = []
        for number in range(25):
            outcomes += database.record([entry(number, str(number)), entry(1000 + worker * 100 + number)])
            assert database.lookup([name(number)]) == [checksum(b"%d" % number)]
        return outcomes

    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for part in pool.map(work, range(8)) for outcome in part]
    assert sorted(set(outcomes)) == ["recorded", "same"]
    assert outcomes.count("recorded") == 25 + 8 * 25
    assert database.statistics()["runs"] == 400


def test_words_that_are_no_valid_text_match_nothing(database: Database) -> None:
    database.record([entry(1)])
    assert database.runs(text="\udcff") == database.runs(label="\udcff") == []
    assert database.find(label="\udcff*") == []
