"""Deployments that are joined: brought up by hand on another machine, used from here by a join string."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest

from tests.deploy.remote.laptop import OFFLOAD, PLAIN, TYPE, UP, Laptop, blocks, eventually, grants, invite, string, up
from tests.lab.lab import Lab

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


HOSTS = """
import socket, time
import offload

@offload.task
def host(number):
    time.sleep(0.5)
    return socket.gethostname()

if __name__ == "__main__":
    print(*sorted(set(offload.gather(host.map(range(8))))))
"""


@pytest.fixture
def ready(lab: Lab) -> Lab:
    """A lab whose hosts have offload."""
    assert lab.offload_venv
    return lab


@pytest.mark.parametrize("which", [0, 1], ids=["direct", "tunnel"])
def test_pasting_a_block_is_all_it_takes(ready: Lab, which: int) -> None:
    printed = up(ready, "--host", "0.0.0.0")
    assert "is a shell as alice@h1 for whoever has it" in printed
    pasted = blocks(printed)
    assert [block.splitlines()[0] for block in pasted] == [
        "offload join <<'END'",
        "offload join --ssh alice@h1 <<'END'",
    ]
    laptop = Laptop(ready)
    joined = laptop.run(pasted[which])
    assert joined.returncode == 0, joined.stderr
    assert "joined hpc, by leave of alice@h1" in joined.stderr
    laptop.uses()
    assert laptop.run("offload status hpc").returncode == 0
    # nobody but the owner invites
    refused = laptop.run("offload invite hpc")
    assert refused.returncode == 1
    assert "only the owner of hpc invites" in refused.stderr
    # left, it goes on there
    assert laptop.run("offload leave hpc").returncode == 0
    assert laptop.state() == "unknown"
    assert "hpc" in ready.ssh("alice@h1", f"{OFFLOAD} list").stdout
    # joined again, and brought down from here
    assert laptop.run(pasted[which]).returncode == 0
    assert laptop.run("offload down hpc").returncode == 0
    assert laptop.state() == "unknown"
    eventually(lambda: not [one for one in ready.host("h1").processes("alice") if "offload" in one.command])
    assert "ended: brought down with the invitation" in ready.ssh("alice@h1", f"{OFFLOAD} list").stdout


def test_workers_on_another_machine_join_by_the_printed_line(ready: Lab) -> None:
    """With the owner's keys; a guest's are refused, for nobody could fetch what such a worker computes."""
    printed = up(ready, "--host", "0.0.0.0")
    line = re.search(r"^workers: +elsewhere: offload (worker .*) --credentials DIR, a copy of (\S+)$", printed, re.M)
    assert line is not None, printed
    kept = shlex.quote(line[2])
    packed = ready.ssh("alice@h1", f"cd {kept} && tar -c ca.pem token dask.pem dask.key | base64 -w0").stdout
    h2 = ready.host("h2")
    h2.exec("mkdir -m 700 keys && base64 -d | tar -xC keys", user="alice", input=packed)
    words = f"{OFFLOAD} {line[1]} --credentials keys --name far"
    worker = subprocess.Popen(h2.command(f"exec {words}", user="alice"), stderr=subprocess.PIPE, text=True)
    try:
        eventually(lambda: "far" in ready.ssh("alice@h1", f"{OFFLOAD} status hpc").stdout)
        laptop = Laptop(ready)
        assert laptop.run(blocks(printed)[0]).returncode == 0
        (ready.home / "hosts.py").write_text(HOSTS)
        assert laptop.run("OFFLOAD_DEPLOYMENT=hpc python hosts.py").stdout == "h1 h2\n"
        refused = laptop.run("offload worker --contact $(find ~ -path '*/hpc/contact.json')")
        assert refused.returncode == 2
        assert "is for giving work, not for workers" in refused.stderr
    finally:
        worker.kill()
        worker.communicate()


def test_a_join_string_is_asked_for_without_being_shown(ready: Lab) -> None:
    text = string(up(ready))
    laptop = Laptop(ready)
    direct = laptop.join(text)
    assert direct.returncode == 1
    assert "the head of hpc does not answer: https://127.0.0.1:" in direct.stderr
    assert "offload join --ssh alice@h1" in direct.stderr
    on_the_line = laptop.run(f"offload join {text}")
    assert on_the_line.returncode == 2
    assert "is a secret" in on_the_line.stderr
    (ready.home / "type.py").write_text(TYPE)
    typed = laptop.run("python type.py offload join --ssh alice@h1", input=f"{text}\n")
    assert "joined hpc" in typed.stdout, typed
    assert text not in typed.stdout


def test_the_service_ports_of_a_tunnel_can_be_pinned(ready: Lab) -> None:
    laptop = Laptop(ready)
    joined = laptop.join(string(up(ready)), "--ssh", "alice@h1", "--local-ports", "61001-61004", "--name", "pinned")
    assert joined.returncode == 0, joined.stderr
    assert "DASK_SCHEDULER_ADDRESS=tls://127.0.0.1:61001" in laptop.run("offload env pinned").stdout
    laptop.uses("pinned")


def test_it_is_used_from_python_and_in_a_shell(ready: Lab) -> None:
    laptop = Laptop(ready)
    assert laptop.join(string(up(ready)), "--ssh", "alice@h1").returncode == 0
    script = "import offload, socket\nwith offload.client('hpc') as c: print(c.submit(socket.gethostname).result())"
    assert laptop.run(f"python -c {shlex.quote(script)}").stdout == "h1\n"
    script = "import offload\nwith offload.connect('hpc'): print(offload.run(['hostname'], fresh=True).worker)"
    assert laptop.run(f"python -c {shlex.quote(script)}").stdout == "worker-0\n"
    words = "printf 'offload run --fresh -- hostname\\nexit\\n' | SHELL=bash script -qec 'offload shell hpc' /dev/null"
    assert "h1" in laptop.run(words).stdout.split()


@pytest.mark.parametrize("ssh", [[], ["--ssh", "alice@h1"]], ids=["direct", "tunnel"])
def test_it_is_connected_again_without_the_string(ready: Lab, ssh: list[str]) -> None:
    laptop = Laptop(ready)
    assert laptop.join(string(up(ready, "--host", "10.77.0.11")), *ssh).returncode == 0
    contact = json.loads((laptop.home / "deployments/hpc/contact.json").read_text())
    laptop.run(f"kill -9 {contact['head']['pid']}")
    eventually(lambda: laptop.state() == "disconnected")
    laptop.uses()
    laptop.run(f"kill -9 {json.loads((laptop.home / 'deployments/hpc/contact.json').read_text())['head']['pid']}")
    again = laptop.run("offload up --name hpc")
    assert again.returncode == 0, again.stderr
    laptop.uses()


def test_two_laptops_of_two_people_at_once(ready: Lab) -> None:
    up(ready, "--host", "10.77.0.11")
    mine, theirs = Laptop(ready, "mine"), Laptop(ready, "theirs")
    assert mine.join(invite(ready, "--label", "my laptop")).returncode == 0
    # bob may log in there, and is let in by alice
    other = theirs.join(invite(ready, "--label", "bob", "--expires", "2h"), "--ssh", "bob@h1", "--name", "alices")
    assert other.returncode == 0, other.stderr
    assert "by leave of alice@h1, until" in other.stderr
    mine.uses()
    theirs.uses("alices")
    assert [(grant["label"], grant["state"]) for grant in grants(ready)] == [
        ("offload up", "alive"),
        ("my laptop", "alive"),
        ("bob", "alive"),
    ]
    # bob is sent away, at once, by every service; the other laptop is not
    assert ready.ssh("alice@h1", f"{OFFLOAD} revoke hpc bob").returncode == 0
    refused = theirs.run("offload run --on alices --fresh -- hostname")
    assert refused.returncode == 125
    assert "the invitation 'bob' was revoked" in refused.stderr
    assert "ask alice@h1" in refused.stderr
    for command in ("offload scale alices 2", "offload down alices"):
        refused = theirs.run(command)
        assert refused.returncode == 3
        assert "was revoked" in refused.stderr
    eventually(lambda: theirs.state("alices") == "refused")
    refused = theirs.run("offload scale alices 2")
    assert (refused.returncode, "offload join" in refused.stderr) == (3, True), refused.stderr
    status = theirs.run("offload status alices")
    assert status.returncode == 1
    assert "then: offload join; or: offload leave alices" in status.stderr
    mine.uses()
    # with a new string of the same owner it is renewed
    again = theirs.join(invite(ready, "--label", "bob"), "--name", "alices")
    assert again.returncode == 0, again.stderr
    theirs.uses("alices")


@pytest.mark.parametrize("ssh", [[], ["--ssh", "alice@h1"]], ids=["direct", "tunnel"])
def test_the_owner_brings_it_down(ready: Lab, ssh: list[str]) -> None:
    """Whoever has joined is told whom to ask, and waits for nothing once that is known."""
    laptop = Laptop(ready)
    assert laptop.join(string(up(ready, "--host", "10.77.0.11")), *ssh).returncode == 0
    laptop.uses()
    assert ready.ssh("alice@h1", f"{OFFLOAD} down hpc").returncode == 0
    eventually(lambda: laptop.state() in ("down", "away"))
    if laptop.state() == "down":
        refused = laptop.run("offload run --on hpc --fresh -- hostname")
        assert refused.returncode == 125
        assert "hpc is down: it was brought down where it is; ask alice@h1" in refused.stderr
    else:  # its last words were not heard
        assert "ask alice@h1 whether it is still up" in laptop.run("offload status hpc").stderr
    left = laptop.run("offload leave hpc")
    assert left.returncode == 0
    assert "goes on" not in left.stderr


def test_the_owner_invites_from_elsewhere(ready: Lab) -> None:
    owner, guest = Laptop(ready, "owner"), Laptop(ready, "guest")
    done = owner.run("offload up ssh://alice@h1 --name hpc --workers 1 --environment python:/shared/venv/bin/python")
    assert done.returncode == 0, done.stderr
    invited = owner.run("offload invite hpc --label guest")
    assert blocks(invited.stdout)[0].startswith("offload join --ssh alice@h1 <<")
    assert guest.run(blocks(invited.stdout)[0]).returncode == 0
    guest.uses()
    assert owner.run("offload revoke hpc guest").returncode == 0
    assert "was revoked" in guest.run("offload run --on hpc --fresh -- hostname").stderr
    assert "revoked" in owner.run("offload invite hpc --list").stdout
    assert owner.run("offload down hpc").returncode == 0


def test_through_a_login_node_to_a_node_behind_it(ready: Lab) -> None:
    printed = ready.ssh("alice@c1", f"{UP} --host 0.0.0.0", timeout=150).stdout
    laptop = Laptop(ready)
    joined = laptop.join(string(printed), "--ssh", "alice@login", "--name", "node")
    assert joined.returncode == 0, joined.stderr
    assert laptop.run("offload run --on node --fresh -- hostname").stdout == "c1\n"


def test_an_invitation_expires(ready: Lab) -> None:
    up(ready, "--host", "10.77.0.11")
    laptop = Laptop(ready)
    text = invite(ready, "--label", "guest", "--expires", "45s")
    assert laptop.join(text).returncode == 0
    # the certificate ends with it
    ends = laptop.run(f"openssl x509 -noout -checkend 300 -in {laptop.home}/deployments/hpc/keys/dask.pem")
    assert ends.returncode == 1
    eventually(lambda: laptop.state() == "refused")
    refused = laptop.run("offload run --on hpc --fresh -- hostname")
    assert "the invitation 'guest' has expired" in refused.stderr
    late = Laptop(ready, "late").join(text)
    assert late.returncode == 3
    assert "the invitation 'guest' has expired" in late.stderr
    assert "ask alice@h1 for another one" in late.stderr
    assert Laptop(ready, "late").state() == "unknown"


def test_a_certificate_that_is_due_is_renewed(ready: Lab) -> None:
    laptop = Laptop(ready)
    assert laptop.join(string(up(ready, "--host", "10.77.0.11"))).returncode == 0
    path = laptop.home / "deployments/hpc/keys/dask.pem"
    path.unlink()  # as due as can be
    eventually(path.exists)
    laptop.uses()


def test_another_deployment_behind_the_address(ready: Lab) -> None:
    anew = f"{OFFLOAD} up --name hpc --workers 1 --host 10.77.0.11"  # its head is at 8787
    text = string(ready.ssh("alice@h1", anew).stdout)
    laptop = Laptop(ready)
    assert laptop.join(text).returncode == 0
    ready.ssh("alice@h1", f"{OFFLOAD} down hpc && {anew}")
    eventually(lambda: laptop.state() == "refused")
    refused = laptop.run("offload run --on hpc --fresh -- hostname")
    assert refused.returncode == 125
    assert "it was brought up anew, or something else is in its place: join it again" in refused.stderr
    other = Laptop(ready, "other").join(text)
    assert other.returncode == 1
    assert "is not the deployment hpc of this string" in other.stderr
    assert laptop.join(invite(ready)).returncode == 0
    laptop.uses()


def test_blocked_ports_are_named(ready: Lab) -> None:
    text = string(up(ready, "--host", "10.77.0.11"))
    status = json.loads(ready.ssh("alice@h1", f"{OFFLOAD} status hpc --json").stdout)
    port = int(status["scheduler"].rpartition(":")[2])
    ready.host("h1").drop(port)
    joined = Laptop(ready).join(text)
    assert joined.returncode == 1
    assert f"the head answers, but the scheduler at 10.77.0.11 port {port} does not: timed out" in joined.stderr


def test_every_port_of_the_range_is_taken(ready: Lab) -> None:
    taken = "import socket, time; kept = [socket.create_server(('', port)) for port in range(60001, 60021)]"
    script = shlex.quote(f"{taken}; print(1, flush=True); time.sleep(600)")
    with subprocess.Popen(ready.host("h1").command(f"{ready.python} -c {script}"), stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        done = ready.ssh("alice@h1", UP, check=False)
        holder.kill()
    assert done.returncode == 1
    assert "every port from 60001 to 60020 on 127.0.0.1 is taken" in done.stderr
    assert "offload-join-" not in done.stdout


def test_the_file_for_scripts(ready: Lab) -> None:
    up(ready, "--env-file", "/home/alice/hpc.env")
    told = ready.host("h1").exec("cat /home/alice/hpc.env; stat -c %a /home/alice/hpc.env").stdout
    assert told.splitlines()[-1] == "600"
    plain = f". ./hpc.env && /shared/venv/bin/python -c {shlex.quote(PLAIN)}"
    assert ready.ssh("alice@h1", plain).stdout == "h1\n"
    env = ready.ssh("alice@h1", f"{OFFLOAD} env hpc").stdout
    assert env in told
    ready.ssh("alice@h1", f"{OFFLOAD} down hpc")
    assert ready.host("h1").exec("ls /home/alice").stdout == ""


def test_a_batch_job_whose_output_others_read_keeps_the_string_in_a_file(ready: Lab) -> None:
    ready.host("h1").exec("chmod 755 /home/alice")
    ready.ssh("alice@h1", f"{UP} > out.txt 2>&1")
    said = ready.ssh("alice@h1", "cat out.txt").stdout
    assert "offload-join-" not in said
    path = str(re.findall(r"from another machine is in (\S+),", said)[0])
    kept = ready.ssh("alice@h1", f"stat -c %a {path}; cat {path}").stdout
    assert kept.startswith("600\n")
    assert Laptop(ready).join(kept, "--ssh", "alice@h1").returncode == 0
    assert ready.ssh("bob@h1", f"cat {path}", check=False).returncode == 1
