"""What another user of the host gets from a deployment that was brought up by hand: nothing, from no port."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deploy import stranger
from tests.deploy.remote.laptop import eventually, up
from tests.lab.lab import Lab

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def test_a_user_without_a_string_gets_nothing(lab: Lab) -> None:
    assert lab.offload_venv
    up(lab, "--host", "0.0.0.0")
    host = lab.host("h1")

    def listening() -> set[int]:
        addresses = host.exec("ss -Hltn | awk '{print $4}'").stdout.split()
        return {int(address.rpartition(":")[2]) for address in addresses} - {22}

    eventually(lambda: len(listening()) == 6)  # head, scheduler, jobs, storage, a worker and its nanny
    ports = sorted(listening())
    lab.shared.joinpath("stranger.py").write_text(Path(stranger.__file__).read_text())
    for address in ("127.0.0.1", "10.77.0.11"):
        asked = {
            "host": address,
            "ports": ports,
            "sockets": [],
            "tops": ["/home/alice", "/tmp"],
            "certificate": None,
            "processes": [process.pid for process in host.processes("alice")],
        }
        lab.shared.joinpath("asked.json").write_text(json.dumps(asked))
        done = lab.ssh("bob@h1", f"{lab.python} /shared/stranger.py < /shared/asked.json", timeout=200)
        got = json.loads(done.stdout)
        assert got["environments"] == []
        assert [path for path in got["files"] if path.startswith("/home/alice") or "offload" in path] == []
        assert len({port for port, _, _ in got["ports"]}) == 3  # Dask's say nothing without a certificate
        for _, said, answer in got["ports"]:
            status = answer.partition("\r\n")[0].split(" ")
            assert status[0].startswith("HTTP/"), (said, answer)
            assert status[1] in ("400", "401", "403"), (said, answer)
            assert len(answer) < 600, (said, answer)
