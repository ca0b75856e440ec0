"""Groups of workers: described in a file, chosen by what calls need, each with a number of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import offload as api
from offload.api import submit
from offload.deploy import scaling
from offload.deploy.config import toml
from offload.deploy.config.resolve import resolve
from offload.deploy.config.spec import Spec
from offload.deploy.head.demand import Supplier, spread, wanted_workers
from offload.deploy.lifecycle import local as launch
from offload.errors import OffloadError, UsageError
from offload.registry.deployments import Place, Registry
from tests.conftest import Offload
from tests.deploy.test_local import connected, eventually

SECONDS = 60.0
TABLE = """
[deployment.mixed.workers]
count = 1

[deployment.mixed.groups.gpu]
minimum = 0
maximum = 2
resources = { GPU = 1 }
"""

CLUSTER = """
[deployment.hpc]
keep = "process"
[deployment.hpc.workers]
provider = "slurm"
cores = 24
memory = "54GB"
queue = "compute"
prologue = ["module load gcc"]
maximum = 30
[deployment.hpc.groups.gpu]
cores = 8
gpus = "a100:2"
queue = "gpu"
[deployment.hpc.groups.here]
provider = "local"
count = 2
resources = { login = 1 }
"""


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return folder / toml.PROJECT


def described(home: Path, name: str) -> Spec:
    return resolve(Registry(str(home)), name, None, {}).spec


def test_a_group_says_what_differs(home: Path, project: Path) -> None:
    project.write_text(CLUSTER)
    spec = described(home, "hpc")
    assert spec.group_names() == ["worker", "gpu", "here"]
    assert spec.systems() == ["slurm"]
    plain, gpu, here = (spec.group(name) for name in spec.group_names())
    assert (plain.threads, plain.minimum, plain.maximum, plain.resources) == (24, 0, 30, {})
    assert (gpu.threads, gpu.workers, gpu.maximum, gpu.resources) == (8, 1, None, {"GPU": 2.0})
    assert gpu.job == {
        "cores": 8, "memory": "54GB", "queue": "gpu", "gpus": "a100:2", "prologue": ["module load gcc"]
    }  # fmt: skip
    assert (here.provider, here.workers, here.threads, here.job) == ("local", 2, 1, {})
    assert Spec.from_json(spec.to_json()) == spec
    assert [spec.group_of(name) for name in ("gpu-3", "gpu-3.1", "worker-0", "n7-4711")] == ["gpu", "gpu"] + 2 * [
        "worker"
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[deployment.x.groups.gpu]\nresorces = 1\n", "did you mean resources"),
        ("[deployment.x.groups.gpu]\nresources = 1\n", "to be a table"),
        ("[deployment.x.groups.gpu]\nresources = { GPU = -1 }\n", "no resources"),
        ("[deployment.x.groups.gpu]\nprovider = 'magic'\n", "provider is 'magic'"),
        ("[deployment.x.groups.head]\n", "cannot be called head"),
        ("[deployment.x.groups.gpu]\ncount = -1\n", "-1 workers"),
        ("[deployment.x.groups]\ngpu = 1\n", "is no table"),
        ("[deployment.x.groups.a]\nprovider='slurm'\n[deployment.x.groups.b]\nprovider='sge'\n", "do not go together"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(home: Path, project: Path, table: str, message: str) -> None:
    project.write_text(table)
    with pytest.raises(UsageError) as raised:
        described(home, "x")
    assert message in f"{raised.value.message}; {raised.value.hint}"


def test_ports_are_enough_for_all_groups() -> None:
    spec = Spec(workers=1, groups={"gpu": {"workers": 2}})
    assert spec.ports_needed() == 10
    with pytest.raises(UsageError, match="too few ports"):
        Spec(workers=1, groups={"gpu": {"workers": 2}}, ports=(20000, 20008))


PLAIN, GPU = Supplier("worker", 4, {}, 3), Supplier("gpu", 8, {"GPU": 2}, 2)


def test_work_goes_to_the_first_group_that_can_do_it() -> None:
    demand: list[tuple[dict[str, float], float, float]] = [
        ({}, 100, 100.0),
        ({"GPU": 1}, 3, 30.0),
        ({"big": 1}, 9, 9.0),
    ]
    assert spread([PLAIN, GPU], demand) == {"worker": 3, "gpu": 2}
    more = Supplier("more", 4, {}, 9)
    assert spread([PLAIN, GPU, more], [({}, 20, 20.0)]) == {"worker": 3, "more": 2}


def test_what_runs_counts_for_its_own_group() -> None:
    dask = {"waiting": [[{"GPU": 1}, 1, 0.5]], "workers": {"worker-0": [4, 4.0, 0, 0], "mine-4711": [1, 1.0, 0, 0]}}
    assert wanted_workers([PLAIN, GPU], dask, {}) == {"worker": 0, "gpu": 1}  # one that has joined does its part
    dask["workers"] = {"worker-0": [0, 0.0, 7, 10]}
    assert wanted_workers([Supplier("worker", 4, {}, 3, current=1), GPU], dask, {})["worker"] == 2  # for its memory


@pytest.fixture
def place(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    project.write_text(TABLE)
    registry = Registry(str(home))
    launch.up(registry, described(home, "mixed"), print)
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "mixed")
    place = registry.get("mixed")
    yield place
    submit.shutdown()
    launch.down(registry, place, print)


def where(number: int) -> str:
    time.sleep(0.2)
    programs = [parent.cmdline() for parent in psutil.Process().parents()]
    return next(line[-1] for line in programs if "offload.deploy.workers.process" in line)


def names(place: Place) -> list[str]:
    return sorted(str(worker["name"]) for worker in connected(place))


@pytest.mark.real
def test_calls_go_where_they_find_what_they_need(place: Place, offload: Offload) -> None:
    eventually(lambda: names(place) == ["worker-0"])
    special = api.task(resources={"GPU": 1}, effects="ignore")(where)
    futures = special.map(range(100, 108))
    plain = api.task(where, effects="ignore").map(range(8))
    assert {*api.gather(plain, timeout=SECONDS)} == {"worker-0"}
    assert {*api.gather(futures, timeout=SECONDS)} <= {"gpu-0", "gpu-1"}
    given = offload("run", "--on", "mixed", "--resources", "GPU=1", "--json", "--", "echo", "special")
    assert (given.returncode, given.stdout) == (0, b"special\n"), given.stderr
    assert json.loads(given.stderr.splitlines()[-1])["worker"].startswith("gpu-")
    eventually(lambda: names(place) == ["worker-0"])  # they are idle, and go

    told: dict[str, Any] = json.loads(offload("scale", "mixed", "1", "--group", "gpu", "--json").stdout)
    assert [(group["name"], group["workers"], group["adaptive"]) for group in told["groups"]] == [
        ("worker", 1, None), ("gpu", 1, None)
    ]  # fmt: skip
    shown = offload("status", "mixed").stdout.decode()
    assert "group: gpu: 1 worker by local, each GPU=1" in shown
    again = offload("up", "mixed").stderr.decode()
    assert "groups.gpu.maximum: it has none, not 2" in again
    assert "offload scale mixed A-B --group gpu" in again
    with pytest.raises(OffloadError, match="no group of workers called tpu"):
        scaling.scale(place, 1, "tpu")


@pytest.mark.real
def test_what_no_worker_will_ever_have_is_told_at_once(place: Place, offload: Offload) -> None:
    future = api.task(resources={"TPU": 1})(where).submit(1)
    with pytest.raises(OffloadError, match="no worker has TPU=1: there are workers with GPU=1"):
        future.result(SECONDS)
    given = offload("run", "--on", "mixed", "--resources", "TPU=1", "--", "echo", "never")
    assert given.returncode == 125
    assert b"no worker has TPU=1" in given.stderr
    assert b"Traceback" not in given.stderr
