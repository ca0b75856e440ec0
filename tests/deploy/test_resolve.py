"""Options, tables of configuration files, variables and defaults: which counts, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pytest

from offload.deploy.config import toml
from offload.deploy.config.resolve import Resolved, resolve
from offload.deploy.config.spec import Spec, cores
from offload.errors import NotFoundError, UsageError
from offload.registry.contact import WORKERS_SIDE, Contact
from offload.registry.deployments import Registry
from tests.conftest import Offload
from tests.requirements import requires, requires_root

PROJECT = """
[deployment.big]
site = "here"
ports = "60001-60100"
idle = "30m"
storage = { buffers = "data/buffers" }

[deployment.big.workers]
provider = "local"
count = 3
threads = 2
memory_limit = "1GB"
nanny = false
"""


@pytest.fixture
def project(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a table, and an empty user configuration; the current directory is below."""
    (tmp_path / "project" / "below").mkdir(parents=True)
    (tmp_path / "project" / "offload.toml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path / "project" / "below")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "project"


def resolved(home: Path, target: str = "local", name: str | None = None, **options: object) -> Resolved:
    return resolve(Registry(str(home)), target, name, options)


def test_a_table_is_a_deployment(project: Path, home: Path) -> None:
    found = resolved(home, "big")
    assert found.spec == Spec(
        name="big", workers=3, threads=2, memory_limit="1GB", nanny=False, ports=(60001, 60100), idle=1800.0,
        buffers=str(project / "data" / "buffers"),
    )  # fmt: skip
    assert found.source("threads") == str(project / "offload.toml")
    assert found.source("scratch") == "default"


def test_options_come_before_the_table(project: Path, home: Path) -> None:
    found = resolved(home, "big", "mine", minimum=1, threads=4)
    assert (found.spec.name, found.spec.threads, found.spec.memory_limit) == ("mine", 4, "1GB")
    assert (found.spec.minimum, found.spec.maximum) == (1, cores())
    assert (found.source("threads"), found.source("maximum")) == ("command line", "number of cores")


def test_the_user_s_file_comes_after_the_project_s(project: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "config" / "offload").mkdir(parents=True)
    mine = tmp_path / "config" / "offload" / "config.toml"
    mine.write_text("[deployment.big.workers]\ncount = 9\n[deployment.own.workers]\ncount = 7\n")
    assert resolved(home, "big").spec.workers == 3
    assert resolved(home, "own").spec.workers == 7
    assert resolved(home, "own").source("workers") == str(mine)


def test_variables_come_before_defaults(project: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLOAD_BUFFERS", "/elsewhere")
    assert resolved(home, "local").spec.buffers == "/elsewhere"
    assert resolved(home, "local").source("buffers") == "OFFLOAD_BUFFERS"
    assert resolved(home, "big").spec.buffers == str(project / "data" / "buffers")


def test_what_exists_stays_as_it_was(project: Path, home: Path) -> None:
    spec = Spec(name="local", workers=5)
    Registry(str(home)).create("local", spec.to_json())
    assert resolved(home).spec == spec
    assert resolved(home, threads=2).spec.workers == cores()
    Registry(str(home)).create("other", Spec(name="other", workers=6).to_json())
    assert resolved(home, "other").spec.workers == 6


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[deployment.x]\nport = '1'", "deployment.x.port is '1'", "a whole number"),
        ("[deployment.x]\nprot = 1", "no key prot", "did you mean port?"),
        ("[deployment.x.workers]\nminimun = 1", "deployment.x.workers has no key minimun", "did you mean minimum?"),
        ("[deployment.x.workers]\nqqqq = 1", "no key qqqq", "there are: provider, count"),
        ("[deployment.x.workers]\nnanny = 1", "nanny is 1", "true or false"),
        ("[deployment.x.workers]\nprovider = 'slrm'", "provider is 'slrm'", "slurm"),
        ("[deployment.x]\nsite = 'ftp://a'", "site is 'ftp://a'", "ssh://user@host"),
        ("[deployment]\nx = 1", "deployment.x is no table", "[deployment.x]"),
        ("deployment = 1", "deployment is no table", "[deployment.NAME]"),
        ("[deployment.x", "cannot be understood", "TOML"),
        ("[deployment.x.workers]\ncount = 1\nmaximum = 2", "minimum and maximum", "offload up"),
    ],
)
def test_what_is_wrong_is_named(project: Path, home: Path, text: str, message: str, hint: str) -> None:
    (project / "offload.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        resolved(home, "x")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_name_that_is_nowhere(project: Path, home: Path) -> None:
    with pytest.raises(NotFoundError, match="neither") as caught:
        resolved(home, "bgi")
    assert caught.value.hint == "did you mean: offload up big"


def test_an_existing_scheduler_in_a_table(project: Path, home: Path) -> None:
    (project / "offload.toml").write_text(
        '[deployment.theirs]\nscheduler = "tcp://127.0.0.1:8786"\n[deployment.theirs.workers]\nprovider = "existing"\n'
    )
    found = resolved(home, "theirs")
    assert (found.spec.name, found.spec.scheduler) == ("theirs", "tcp://127.0.0.1:8786")
    with pytest.raises(UsageError, match="--workers cannot be given"):
        resolved(home, "theirs", workers=2)


def test_differences_are_those_that_were_asked_for(project: Path, home: Path) -> None:
    kept = Spec(name="local", workers=5, threads=2)
    assert resolved(home, threads=2).differences(kept) == []
    assert resolved(home, threads=3, workers=5).differences(kept) == [("threads", 2, 3)]
    follows = Spec(name="local", minimum=0, maximum=3)
    assert resolved(home, workers=2).differences(follows) == [("workers", "0 to 3", 2)]


def test_a_dry_run_tells_where_values_come_from(project: Path, offload: Offload) -> None:
    shown = offload("up", "big", "--threads", "8", "--dry-run")
    assert b"threads: 8  (command line)" in shown.stdout
    assert b"name: big  (command line)" in shown.stdout
    assert f"workers: 3  ({project / 'offload.toml'})".encode() in shown.stdout
    told = json.loads(offload("up", "big", "--dry-run", "--json").stdout)
    assert (told["workers"], told["sources"]["scratch"]) == (3, "default")
    assert not os.path.exists(os.environ["OFFLOAD_HOME"])


def test_scratch_is_found_from_here(project: Path, home: Path) -> None:
    assert resolved(home, scratch="tmp").spec.scratch == str(project / "below" / "tmp")


def test_storage_alone_has_no_workers(project: Path, home: Path) -> None:
    with pytest.raises(UsageError, match="--workers cannot be given for --storage-only"):
        resolved(home, storage_only=True, workers=2)
    assert resolved(home, "big", storage_only=True).spec.storage_only


def test_a_removed_directory_is_no_project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert resolved(home).spec.name == "local"


@pytest.mark.parametrize("scratch", ["/proc", "/etc/passwd", "/proc/x"])
def test_scratch_that_cannot_be_used_is_told_first(offload: Offload, scratch: str) -> None:
    refused = offload("up", "--scratch", scratch)
    assert refused.returncode == 3
    assert f"temporary files cannot be kept in {scratch}".encode() in refused.stderr
    assert b"--scratch" in refused.stderr
    assert not offload("list").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "192.0.2.1"], b"192.0.2.1 is no address of this machine"),
        (["--host", "nowhere.invalid"], b"nowhere.invalid is no address of this machine"),
        (["--name", ""], b"'' cannot be the name of a deployment"),
    ],
)
def test_what_cannot_be_is_not_kept(
    project: Path, home: Path, offload: Offload, words: list[str], message: bytes
) -> None:
    refused = offload("up", *words)
    assert refused.returncode in (1, 2)
    assert message in refused.stderr
    assert Registry(str(home)).names() == []  # the next `offload up` would be for the same host


@pytest.mark.real
def test_one_that_is_up_otherwise_is_told(project: Path, offload: Offload) -> None:
    words = ["up", "--name", "kept", "--storage-only"]
    assert offload(*words).returncode == 0
    try:
        assert offload(*words).returncode == 0
        assert offload("up", "--name", "kept").returncode == 0
        other = offload("up", "--name", "kept", "--workers", "3", "--threads", "2")
        assert other.returncode == 1
        assert b"threads: it has 1, not 2" in other.stderr
        assert b"offload scale kept N" in other.stderr
        assert b"offload down kept" in other.stderr
        told = json.loads(offload("up", "--name", "kept", "--threads", "2", "--json").stdout)
        assert (told["started"], told["differs"]) == (False, ["threads"])
    finally:
        assert offload("down", "kept").returncode == 0


def test_an_image_is_for_deployments_without_jobs(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(str(home))
    (tmp_path / "project/inner").mkdir(parents=True)
    (tmp_path / "project/pyproject.toml").touch()
    monkeypatch.chdir(tmp_path / "project/inner")
    found = resolve(registry, "local", None, {"environment": "container:python:3.11"})
    assert (found.spec.environment, found.spec.mounts) == ("container:python:3.11", (str(tmp_path / "project"),))
    assert found.differences(dataclasses.replace(found.spec, mounts=("/elsewhere",))) == []
    given = resolve(registry, "local", None, {"environment": "docker:x", "mounts": ["inner", "/data"]}).spec
    assert given.mounts == (str(tmp_path / "project/inner/inner"), "/data")
    assert Spec.from_json(given.to_json()) == given
    for options, reason in (
        ({"environment": "sync"}, "is for other machines"),
        ({"environment": "container:x", "provider": "slurm"}, "not for jobs of a batch system"),
        ({"environment": "container:x", "keep": "slurm"}, "not for jobs of a batch system"),
        ({"mounts": ["/data"]}, "is for what runs in a container"),
    ):
        with pytest.raises(UsageError, match=reason):
            resolve(registry, "local", None, options)


def test_what_others_can_write_is_passed_over(project: Path, offload: Offload, tmp_path: Path) -> None:
    below = project / "below" / "offload.toml"
    below.write_text("[deployment.big\n")  # broken, and another one's: it stops nobody
    below.chmod(0o666)
    done = offload("up", "big", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"{below} is not used: every user can write".encode() in done.stderr
    assert str(project / "offload.toml").encode() in done.stdout
    below.write_text("[deployment.mine.workers]\ncount = 1\n")
    done = offload("up", "mine", "--dry-run")
    assert done.returncode == 1 and b"mine is not a deployment in a file that is obeyed" in done.stderr
    assert offload("up", "mine", "--dry-run", env={"OFFLOAD_SAFE": str(below)}).returncode == 0
    mine = tmp_path / "config" / "offload" / "config.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text("[deployment.own]\n")
    mine.chmod(0o666)
    done = offload("up", "own", "--dry-run")
    assert done.returncode == 1 and f"{mine} is not used".encode() in done.stderr


@pytest.mark.real
def test_the_search_ends_at_a_border(project: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requires_root()
    monkeypatch.setenv("HOME", str(project / "below"))
    assert toml.find("big") is None  # the project lies above the home
    monkeypatch.setenv("HOME", str(home))
    assert toml.find("big") is not None
    done = subprocess.run(["mount", "-t", "tmpfs", "none", project / "below"], check=False, capture_output=True)
    requires(done.returncode == 0, "cannot mount a tmpfs")
    try:
        os.chdir(project / "below")
        assert toml.find("big") is None
    finally:
        os.chdir("/")
        subprocess.run(["umount", project / "below"], check=True)


@pytest.mark.parametrize("target", ["slurm://", "slurm://me@login", "sge://me@login"])
def test_jobs_that_cannot_be_are_refused_here_before_anything_is_started(home: Path, target: str) -> None:
    with pytest.raises(UsageError, match="'90' is no walltime") as caught:
        resolved(home, target, walltime="90")
    assert caught.value.hint == "write it as 01:30:00, 2-12:00:00, 90m or 2h"
    with pytest.raises(UsageError, match="'much' is no amount of memory"):
        resolved(home, target, memory="much")
    with pytest.raises(UsageError, match="'x' is no number of GPUs"):
        resolved(home, target, gpus="x")
    with pytest.raises(UsageError, match="'1:30' is no walltime"):
        resolved(home, target, keep="slurm", head_walltime="1:30")
    with pytest.raises(UsageError, match="'90' is no walltime"):
        resolved(home, target, groups={"big": {"walltime": "90"}})


def test_an_address_for_workers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(str(home))
    monkeypatch.setattr("offload.deploy.config.resolve.towards_nodes", lambda _: "10.1.0.1")

    def found(**options: str) -> tuple[str, str | None, str | None]:
        spec = resolve(registry, "slurm://", None, options).spec
        return spec.host, spec.advertise, spec.workers_host

    assert found() == ("127.0.0.1", None, None)  # where nodes are reached, found on the machine itself
    assert found(workers_host="10.1.0.2") == ("10.1.0.2", None, "10.1.0.2")
    assert found(host="192.0.2.7", workers_host="10.1.0.2") == ("0.0.0.0", "192.0.2.7", "10.1.0.2")
    assert found(host="0.0.0.0", advertise="192.0.2.7") == ("0.0.0.0", "192.0.2.7", "10.1.0.1")
    assert found(host="0.0.0.0", advertise="10.1.0.1") == ("0.0.0.0", "10.1.0.1", None)
    assert found(host="192.0.2.7") == ("192.0.2.7", None, None)  # as it was asked for
    for wrong in ({"interface": "lo"}, {"keep": "slurm"}, {"workers_host": "0.0.0.0"}):
        with pytest.raises(UsageError, match=r"--workers-host|every address"):
            found(**{"workers_host": "10.1.0.2", **wrong})


def test_addresses_for_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = {"pid": 1, "started": "", "host": "login", "url": "https://192.0.2.7:1", "workers_host": "10.1.0.1"}
    path = str(tmp_path / "contact.json")
    told = Contact("running", head, "tls://192.0.2.7:2", "https://[2001:db8::1]:3", None)
    told.write(path)
    read = Contact.read(path)
    assert read is not None and read.scheduler == "tls://192.0.2.7:2"
    monkeypatch.setenv(WORKERS_SIDE, "1")
    read = Contact.read(path)
    assert read is not None
    assert read.addresses() == ["https://10.1.0.1:1", "tls://10.1.0.1:2", "https://10.1.0.1:3"]
    assert read.storage is None and read.directory == str(tmp_path)
    assert Contact("running", {"pid": 1, "url": "https://h:1"}).for_workers().head["url"] == "https://h:1"


@pytest.mark.parametrize("target", ["ec2://x", "kubernetes://cluster", "hosts://a,b"])
def test_places_that_offload_does_not_know(home: Path, target: str) -> None:
    with pytest.raises(NotFoundError, match=f"does not know how to deploy to {target.partition('/')[0]}") as caught:
        resolve(Registry(str(home)), target, None, {})
    assert caught.value.hint is not None
    assert all(known in caught.value.hint for known in ("local", "ssh://", "slurm://", "sge://", "tls://"))
