"""Where deployments on other machines listen, how they are reached, and what storage they use."""

from __future__ import annotations

import json

import pytest

from tests.deploy.remote.conftest import PYTHON
from tests.lab.lab import Lab

pytestmark = pytest.mark.real


def contact(lab: Lab, name: str) -> dict[str, str]:
    told = json.loads((lab.home / ".local/share/offload/deployments" / name / "contact.json").read_text())
    return {key: told[key] for key in ("scheduler", "jobs", "storage") if told[key]} | {"head": told["head"]["url"]}


def up(lab: Lab, *words: str, on: str = "h1") -> None:
    done = lab.offload("up", f"ssh://alice@{on}", *PYTHON, *words)
    assert done.returncode == 0, done.stderr


def recalled(lab: Lab, *words: str, env: dict[str, str] | None = None) -> bool:
    done = lab.offload("run", *words, env=env)
    assert done.returncode == 0, done.stderr
    return "offload: recalled" in done.stderr


@pytest.mark.parametrize(
    "words",
    [["--host", "0.0.0.0", "--contact", "{address}"], ["--interface", "{interface}"], []],
    ids="all one own".split(),
)
def test_direct_addresses(ready: Lab, words: list[str]) -> None:
    host = ready.host("h1")
    interface = host.exec("ip -o -4 addr show | grep -v ' lo ' | awk '{print $2}' | head -n 1").stdout.strip()
    told = [word.format(address=host.address, interface=interface) for word in words]
    up(ready, "--route", "direct", "--ports", "60001-60010", "--workers", "1", *told)
    addresses = contact(ready, "h1")
    assert {address.rpartition("//")[2].rpartition(":")[0] for address in addresses.values()} == {host.address}
    ports = {int(address.rpartition(":")[2]) for address in addresses.values()}
    assert len(ports) == 4 and all(60001 <= port <= 60010 for port in ports)
    assert not recalled(ready, "--on", "h1", "hostname")
    listening = host.exec("ss -Htln | awk '{print $4}'").stdout.split()
    everywhere = [one for one in listening if one.startswith("0.0.0.0") and not one.endswith(":22")]
    assert bool(everywhere) == ("--host" in words), listening


def test_the_local_ends_of_a_tunnel_can_be_pinned(ready: Lab) -> None:
    up(ready, "--local-ports", "61001-61004", "--workers", "1")
    assert {name: int(address.rpartition(":")[2]) for name, address in contact(ready, "h1").items()} == {
        "scheduler": 61001,
        "head": 61002,
        "jobs": 61003,
        "storage": 61004,
    }
    listening = ready.run("ss -Htln | awk '{print $4}'").stdout.split()
    assert {one for one in listening if ":6100" in one} == {f"127.0.0.1:6100{n}" for n in range(1, 5)}
    taken = ready.offload("up", "ssh://alice@h2", "--local-ports", "61001-61004", *PYTHON)
    assert taken.returncode == 1
    assert "port 61001 on 127.0.0.1 is taken" in taken.stderr, taken.stderr


def test_a_table_that_describes_it(ready: Lab) -> None:
    (ready.home / "offload.toml").write_text(
        """
[deployment.hpc]
site = "ssh://alice@h1"
environment = "/shared/venv/bin/python"
ports = "60001-60020"
storage = { buffers = "~/data/buffers", database = "~/data/results.sqlite" }

[deployment.hpc.workers]
count = 1
scratch = "~/scratch"
"""
    )
    done = ready.offload("up", "hpc")
    assert done.returncode == 0, done.stderr
    assert not recalled(ready, "--on", "hpc", "hostname")
    assert ready.host("h1").exec("test -f /home/alice/data/results.sqlite && ls /home/alice/scratch").returncode == 0
    assert ready.offload("up", "hpc").stderr.endswith("offload: hpc is up already\n")
    differs = ready.offload("up", "hpc", "--ports", "60001-60030")
    assert differs.returncode == 1 and "ports: it has 60001-60020, not 60001-60030" in differs.stderr


def test_storage_alone_which_another_deployment_there_uses(ready: Lab) -> None:
    up(ready, "--storage-only", "--name", "vault")
    assert set(contact(ready, "vault")) == {"storage", "head"}
    (ready.home / "offload.toml").write_text(
        '[deployment.project]\nsite = "ssh://alice@h1"\nenvironment = "/shared/venv/bin/python"\nstorage = "vault"\n'
        "[deployment.project.workers]\ncount = 1\n"
    )
    done = ready.offload("up", "project")
    assert done.returncode == 0, done.stderr
    assert not recalled(ready, "--on", "project", "hostname")
    assert ready.offload("down", "project").returncode == 0
    # what it has recorded is in the vault, which anybody may read through
    assert recalled(ready, "hostname", env={"OFFLOAD_ALSO": "vault"})
    assert not recalled(ready, "hostname")
    # or keep all in
    there = {"OFFLOAD_BUFFERS": "offload://vault", "OFFLOAD_DATABASE": "offload://vault"}
    assert not recalled(ready, "echo", "kept there", env=there)
    assert recalled(ready, "echo", "kept there", env={"OFFLOAD_ALSO": "vault"})


def test_what_several_machines_have_recorded_is_recalled(ready: Lab) -> None:
    for name in ("h1", "h2"):
        up(ready, "--workers", "1", on=name)
        assert not recalled(ready, "--on", name, "echo", name)
    assert ready.offload("up", "--name", "mine", "--workers", "1", "--also", "h1,h2").returncode == 0
    assert recalled(ready, "--on", "mine", "echo", "h1")
    assert recalled(ready, "--on", "mine", "echo", "h2")
    assert not recalled(ready, "--on", "mine", "echo", "h3")
    assert ready.offload("down", "mine").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ssh://"], "is no address of a machine"),
        (["ssh://a b"], "is no address of a machine"),
        (["ssh://h1:99999"], "99999 is no port"),
        (["ssh://h1", "--route", "carrier"], "'carrier' is no route"),
        (["ssh://h1", "--tls-ca", "x"], "--tls-ca cannot be given for ssh://h1"),
        (["ssh://h1", "--scratch", "tmp"], "scratch is 'tmp', which may be anywhere on ssh://h1"),
        (["ssh://h1", "--ports", "60001-60002"], "60001-60002 are too few ports"),
        (["ssh://h1", "--route", "direct", "--local-ports", "1-9"], "only a tunnel has ports of its own"),
        (["ssh://h1", "--local-ports", "60001-60002"], "4 local ports are needed"),
        (["ssh://h1", "--host", "0.0.0.0"], "0.0.0.0 is every address"),
        (["local", "--route", "direct"], "--route cannot be given for local"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_done(ready: Lab, words: list[str], message: str) -> None:
    refused = ready.offload("up", *words)
    assert refused.returncode == 2, refused.stderr
    assert message in refused.stderr
    assert "connecting" not in refused.stderr
