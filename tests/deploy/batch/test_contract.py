"""What every batch system does, on real clusters where there are any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from offload.batch import BatchAwayError, End, Phase, RefusedError
from offload.errors import UsageError
from tests.deploy.batch.clusters import CLUSTERS, Bare, Cluster, cluster_of

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=CLUSTERS)
def cluster_of_module(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_of(request.param, request) as cluster:
        yield cluster


@pytest.fixture
def cluster(cluster_of_module: Cluster) -> Iterator[Cluster]:
    yield cluster_of_module
    cluster_of_module.clean()


def test_a_job_runs_on_a_node_and_is_cancelled(cluster: Cluster) -> None:
    job = cluster.submit("offload-runs", "sleep", "100")
    state = cluster.wait(job, Phase.RUNNING)
    assert state.nodes in cluster.nodes
    assert state.start is not None
    assert not state.is_over
    cluster.system.cancel([job])
    state = cluster.wait(job, Phase.ENDED, Phase.UNKNOWN)
    assert state.is_over
    assert state.end in (End.CANCELLED, None)
    cluster.system.cancel([job])  # once more, which changes nothing


def test_words_variables_and_lines_before_arrive_as_they_are(cluster: Cluster) -> None:
    words = ["two words", "$HOME", "a;b", "it's", 'double"', "*", "", "%PART%"]
    job = cluster.submit(
        "offload-words",
        *("sh", "-c", 'printf "<%s>\\n" "$@" "$COLOUR" "$TMPDIR" "$BEFORE"', "sh", *words),
        environment={"COLOUR": "dark blue", "QUOTE": "it's"},
        scratch="/tmp/scratch/$LOGNAME-x",
        prologue=("export BEFORE='a b'",),
    )
    cluster.wait(job, Phase.ENDED, Phase.UNKNOWN)
    lines = [line for line in cluster.read("offload-words").splitlines() if line.startswith("<")]
    *first, scratch, before = lines
    assert first == [f"<{word}>" for word in [*words[:-1], "0", "dark blue"]]
    assert scratch.startswith("</tmp/scratch/") and "$" not in scratch
    assert before == "<a b>"


@pytest.mark.parametrize(("code", "end"), [(0, End.COMPLETED), (3, End.FAILED)])
def test_how_a_job_ended(cluster: Cluster, code: int, end: End) -> None:
    job = cluster.submit("offload-ends", "sh", "-c", f"exit {code}")
    state = cluster.wait(job, Phase.ENDED)
    assert (state.end, state.exit_code) == (end, code)


def test_a_job_that_waits_says_why(cluster: Cluster) -> None:
    job = cluster.submit("offload-waits", "true", **cluster.waits)
    state = cluster.wait(job, Phase.PENDING, reason=cluster.reason)
    assert cluster.reason in state.reason
    assert (state.nodes, state.end) == ("", None)
    cluster.system.cancel([job])
    assert cluster.wait(job, Phase.ENDED, Phase.UNKNOWN).end in (End.CANCELLED, None)


def test_many_jobs_are_asked_for_at_once(cluster: Cluster) -> None:
    jobs = [cluster.submit(f"offload-many-{number}", "sleep", "100") for number in range(5)]
    before = len(cluster.site.ran)
    states = cluster.system.query(jobs)
    asked = len(cluster.site.ran) - before
    assert 1 <= asked <= cluster.most
    assert list(states) == jobs
    assert {state.phase for state in states.values()} <= {Phase.PENDING, Phase.RUNNING}
    cluster.system.cancel(jobs)
    assert len(cluster.site.ran) == before + asked + 1
    assert cluster.system.query([]) == {} and len(cluster.site.ran) == before + asked + 1


def test_a_job_that_never_was(cluster: Cluster) -> None:
    job = cluster.submit("offload-is", "sleep", "100")
    states = cluster.system.query([cluster.unknown, job])
    assert states[cluster.unknown].phase is Phase.UNKNOWN
    assert states[job].phase in (Phase.PENDING, Phase.RUNNING)
    assert cluster.system.query([cluster.unknown])[cluster.unknown].phase is Phase.UNKNOWN
    cluster.system.cancel([cluster.unknown, job])
    cluster.wait(job, Phase.ENDED, Phase.UNKNOWN)


def test_a_refused_job_comes_with_the_systems_own_words(cluster: Cluster) -> None:
    script = cluster.system.script(cluster.request("offload-no", "true", **cluster.refused))
    with pytest.raises(RefusedError) as caught:
        cluster.system.submit(script)
    assert cluster.words in caught.value.message
    assert caught.value.script == script
    assert caught.value.hint is not None and "offload-no" in caught.value.hint
    assert cluster.system.mine("offload-no") == {}


def test_a_system_that_is_away_is_no_ended_job(cluster: Cluster) -> None:
    system = cluster.system
    script = system.script(cluster.request("offload-late", "true"))
    job = cluster.submit("offload-stays", "sleep", "100")
    cluster.wait(job, Phase.RUNNING)
    with cluster.away():
        with pytest.raises(BatchAwayError, match="does not answer"):
            system.query([job])
        with pytest.raises(BatchAwayError):
            system.submit(script)
        with pytest.raises(BatchAwayError):
            system.cancel([job])
        with pytest.raises(BatchAwayError):
            system.mine("offload")
    assert system.query([job])[job].phase is Phase.RUNNING
    assert list(system.mine("offload-")) == [job]


def test_jobs_are_found_by_how_their_names_begin(cluster: Cluster) -> None:
    first = cluster.submit("offload-my_lab.2+x-worker-0", "sleep", "100")
    waits = cluster.submit("offload-my_lab.2+x-worker-1", "true", **cluster.waits)
    other = cluster.submit("offload-my_lab" + "-long" * 15, "sleep", "100")
    for name in ("my offload-my_lab.2+x-", "x|y%j;z", "offload", "e" * 100):
        cluster.submit_by_hand(name)
    assert cluster.system.mine("offload-my_lab.2+x-") == {
        first: "offload-my_lab.2+x-worker-0",
        waits: "offload-my_lab.2+x-worker-1",
    }
    assert set(cluster.system.mine("offload-")) == {first, waits, other}
    assert cluster.system.mine("offload-my_lab-")[other] == "offload-my_lab" + "-long" * 15
    cluster.system.cancel([first])
    cluster.wait(first, Phase.ENDED, Phase.UNKNOWN)
    assert set(cluster.system.mine("offload-my_lab.2+x-")) == {waits}


def test_a_machine_without_its_commands_says_so(cluster: Cluster, tmp_path: Path) -> None:
    system = type(cluster.system)(Bare(tmp_path))
    with pytest.raises(UsageError, match=r"there is no \w+ here"):
        system.query(["1"])


def test_what_a_system_lacks_is_said(cluster: Cluster) -> None:
    for what in cluster.system.lacks:
        value = {"nodes": 2, "array": 2, "exclusive": True, "requeue": True}.get(what, "x")
        with pytest.raises(UsageError, match=f"cannot be asked for {what}"):
            cluster.system.script(cluster.request("offload-x", "true", **{what: value}))
