"""Environments are made on the other machine: from what is there, from an index, from wheels of this machine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offload.environments.installed import installed
from offload.environments.rpc import ask
from offload.environments.sync import Prepared, synced
from offload.environments.wanted import Needs, Wanted, needs
from offload.environments.wheels import gather
from offload.environments.wheels.gather import Gathering
from offload.environments.wheels.pack import pack, wheel_name
from offload.environments.wheels.platforms import Platform
from offload.environments.wheels.send import Sending
from offload.errors import DiskFullError, NotWritableError, OffloadError
from tests.deploy.software.machines import Elsewhere, all_of, install, one, own_python, site_directory
from tests.requirements import requires, requires_root


@pytest.fixture
def site(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "home", f"{own_python(tmp_path / 'python')}:/usr/bin:/bin", PIP_NO_INDEX="1")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """What is installed here: a library, a compiled one, and a project."""
    folder = site_directory(tmp_path / "here")
    install(folder, "lib", points="[console_scripts]\nlib-run = lib:main\n")
    install(folder, "other", "2.5")
    project = tmp_path / "project"
    (project / "mine").mkdir(parents=True)
    (project / "mine/__init__.py").write_text("value = 1\n")
    origin = {"dir_info": {"editable": True}, "url": project.as_uri()}
    install(folder, "mine", files={"mine.pth": f"{project}\n"}, origin=origin)
    return folder


class Told(list[str]):
    """Takes what is said."""

    def __call__(self, line: str) -> None:
        self.append(line)


def make(site: Elsewhere, wanted: Needs, home: str = "") -> tuple[Prepared, Told]:
    told = Told()
    return synced(site, home, wanted, told), told


def output(done: Prepared, program: str) -> str:
    return subprocess.run(
        [done.python, "-c", program], capture_output=True, text=True, check=True, cwd="/", timeout=60
    ).stdout.strip()


def test_from_nothing_then_at_once(site: Elsewhere, here: Path) -> None:
    done, told = make(site, all_of(here))
    assert (done.built, done.sent, done.distributions) == (True, 3, 3)
    assert any(line.startswith("sent 3 of 3 wheels") for line in told)
    assert done.environment is not None and done.environment.startswith(
        f"{site.home}/.local/share/offload/environments/"
    )
    shown = output(done, "import lib, other, mine, sys; print(lib.version, other.version, mine.value, sys.prefix)")
    assert shown == f"1.0 2.5 1 {done.environment}"
    assert output(done, "import mine; print(mine.__file__)").startswith(done.environment)
    about = json.loads(Path(done.environment, "environment.json").read_text())
    assert about["distributions"] == ["lib==1.0", "mine==1.0", "other==2.5"]
    assert output(done, "from importlib.metadata import version as v; print(v('lib'), v('mine'))") == "1.0 1.0"

    site.runs.clear()
    again, told = make(site, all_of(here))
    assert (again.python, again.built, again.sent) == (done.python, False, 0)
    assert len(site.runs) == 1, "one look is enough"
    assert told == [f"the environment is ready: {done.environment}"]


def test_only_what_is_missing_is_sent(site: Elsewhere, here: Path, tmp_path: Path) -> None:
    first, _ = make(site, all_of(here))
    (tmp_path / "project/mine/__init__.py").write_text("value = 2\n")
    install(here, "third")
    second, _ = make(site, all_of(here))
    assert (second.built, second.sent, second.cached) == (True, 2, 2)
    assert second.environment != first.environment
    assert output(second, "import mine, third; print(mine.value)") == "2"
    assert output(first, "import mine; print(mine.value)") == "1", "those who use the other one keep it"


def test_an_environment_whose_python_has_gone_is_made_anew(site: Elsewhere, here: Path) -> None:
    done, _ = make(site, all_of(here))
    os.unlink(f"{done.environment}/bin/python")
    os.symlink("/no/python", f"{done.environment}/bin/python")
    again, _ = make(site, all_of(here))
    assert (again.built, again.sent, again.environment) == (True, 0, done.environment)
    assert output(again, "import lib; print(lib.version)") == "1.0"


def test_what_was_interrupted_goes_on(site: Elsewhere, here: Path) -> None:
    pieces = list(Sending([(wheel_name(dist), dist) for dist in installed([str(here)])], lambda text: None))
    home = str(site.home / ".local/share/offload/environments")
    python = f"{site.home.parent}/python/python3.{sys.version_info[1]}"
    with pytest.raises(OffloadError, match="was cut"):
        ask(site, python, {"do": "take", "home": home}, 60, [*pieces[:3], pieces[3][:10]])
    done, _ = make(site, all_of(here))
    assert (done.cached, done.sent) == (1, 2)
    assert not [name for name in os.listdir(f"{home}/wheels") if name.startswith(".")]


def test_a_stream_that_just_ends_counts_for_nothing(site: Elsewhere) -> None:
    python = f"{site.home.parent}/python/python3.{sys.version_info[1]}"
    request = {"do": "take", "home": str(site.home / "environments")}
    with pytest.raises(OffloadError, match=r"was cut while wheels were sent\n.*what has arrived is kept"):
        ask(site, python, request, 60, [b'{"name": "x.whl", "size": 100, "sha256": ""}\n', b"half"])
    with pytest.raises(OffloadError, match="arrived damaged"):
        ask(site, python, request, 60, [b'{"name": "x.whl", "size": 4, "sha256": ""}\n', b"full"])
    assert os.listdir(site.home / "environments/wheels") == []


def test_two_at_once_make_one(site: Elsewhere, here: Path) -> None:
    wanted, results = all_of(here), []
    threads = [threading.Thread(target=lambda: results.append(make(site, wanted)[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert len(results) == 3
    assert {done.python for done in results} == {results[0].python}
    assert sum(done.built for done in results) == 1
    left = os.listdir(site.home / ".local/share/offload/environments")
    assert not [name for name in left if name.endswith(".partial")]


def test_one_that_does_not_work_there_is_no_environment(
    site: Elsewhere, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(here, "offload", "9", {"offload/__init__.py": "raise ImportError('no libstrange.so')\n"})
    with pytest.raises(OffloadError, match=r"does not work there: ImportError: no libstrange.so\n.*python:/path"):
        make(site, all_of(here))
    left = os.listdir(site.home / ".local/share/offload/environments")
    assert [name for name in left if not name.startswith(".")] == ["wheels"]


def wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> None:
    source = site_directory(folder / f"{name}{version}")
    install(source, name, version, tag=tag)
    file = io.BytesIO()
    pack(one(source, name), file)
    (folder / wheel_name(one(source, name))).write_bytes(file.getvalue())


def test_an_index_there(tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an index has comes from there, in the versions of a lock file that are not installed here."""
    index = tmp_path / "index"
    wheel(index, "lib", "1.0")
    wheel(index, "locked", "3.0")
    path = f"{own_python(tmp_path / 'python')}:/usr/bin:/bin"
    site = Elsewhere(tmp_path / "home", path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index))
    monkeypatch.setattr(gather, "INDEX_FROM", 0)
    wanted = Needs((*all_of(here).wanted, Wanted("locked", "3.0", None)))
    done, told = make(site, wanted)
    assert (done.fetched, done.sent) == (2, 2), told
    assert output(done, "import lib, locked, other, mine; print(locked.version)") == "3.0"


def test_a_pip_that_is_sent_along(tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither side has a pip installed: Python brings one along."""
    from offload.environments.wheels import pip

    folder = tmp_path / "python"
    own_python(folder)
    program = folder / f"python3.{sys.version_info[1]}"
    base = getattr(sys, "_base_executable", sys.executable)
    bare = tmp_path / "bare"
    subprocess.run([base, "-m", "venv", "--without-pip", bare], check=True, timeout=60)
    program.write_text(f'#!/bin/sh\nexec {bare}/bin/python "$@"\n')
    monkeypatch.setattr(pip, "installed", list)
    sent = pip.pip_wheel()
    requires(sent is not None, "needs a Python that brings pip along")
    index = tmp_path / "index"
    wheel(index, "locked", "3.0")
    site = Elsewhere(tmp_path / "home", f"{folder}:/usr/bin:/bin", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index))
    done, told = make(site, Needs((Wanted("locked", "3.0", None),)))
    assert done.fetched == 1 and "sending pip" in told
    assert output(done, "import locked; print(locked.version)") == "3.0"


def test_no_index_anywhere(site: Elsewhere, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    wanted = Needs((*all_of(here).wanted, Wanted("locked", "3.0", None)))
    with pytest.raises(
        OffloadError, match=r"locked 3.0 cannot be had for elsewhere .*not installed here, and no index"
    ):
        make(site, wanted)


def test_wheels_for_another_platform_are_downloaded_here(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minor = sys.version_info[1]
    index = tmp_path / "index"
    wheel(index, "fast", "1.0", f"cp3{minor}-cp3{minor}-macosx_11_0_arm64")
    install(here, "fast", tag=f"cp3{minor}-cp3{minor}-linux_x86_64")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    facts: dict[str, Any] = {
        "version": f"3.{minor}.1",
        "platform": "macosx-11.0-arm64",
        "glibc": None,
        "macos": "14.2",
        "wheels": [],
        "pip": True,
    }
    found = Gathering(Elsewhere(tmp_path / "home"), "/none", "/no/python", facts, Told())
    with found.sources(all_of(here).wanted, None) as sources:
        (path,) = (
            path for name, path in sources.to_send if name == f"fast-1.0-cp3{minor}-cp3{minor}-macosx_11_0_arm64.whl"
        )
        assert isinstance(path, str) and os.path.isfile(path)
        assert len(sources.wheels) == 4
    install(here, "own", tag=f"cp3{minor}-cp3{minor}-linux_x86_64", origin={"dir_info": {}, "url": "file:///own"})
    with (
        pytest.raises(OffloadError, match=r"own 1.0 cannot be brought .*for linux_x86_64, there is macosx-11.0-arm64"),
        found.sources(all_of(here).wanted, None),
    ):
        pass


def test_what_fits_a_machine() -> None:
    minor = sys.version_info[1]
    facts: dict[str, Any] = {"version": f"3.{minor}.0", "platform": "linux-x86_64", "glibc": "2.28", "macos": ""}
    old, new = Platform({**facts, "glibc": "2.17"}), Platform(facts)
    cp = f"cp3{minor}-cp3{minor}"
    assert new.fits(f"a-1-{cp}-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl")
    assert not old.fits(f"a-1-{cp}-manylinux_2_28_x86_64.whl")
    assert old.fits(f"a-1-{cp}-manylinux2014_x86_64.whl")
    assert old.fits("a-1-cp38-abi3-manylinux_2_17_x86_64.whl")
    assert old.fits("a-1-py2.py3-none-any.whl") and old.fits("a-1-0xab-py3-none-any.whl")
    assert not new.fits(f"a-1-{cp}-manylinux2014_aarch64.whl")
    assert not new.fits("a-1-cp27-cp27m-manylinux1_x86_64.whl")
    assert not Platform({**facts, "glibc": None}).fits(f"a-1-{cp}-manylinux2014_x86_64.whl")
    assert Platform({**facts, "glibc": None}).fits(f"a-1-{cp}-musllinux_1_2_x86_64.whl")
    assert Platform({**facts, "glibc": "2.999"}).fits(f"a-1-{cp}-linux_x86_64.whl")
    assert not Platform({**facts, "glibc": "2.1"}).fits(f"a-1-{cp}-linux_x86_64.whl"), (
        "compiled against a newer library"
    )


def test_what_nobody_uses_is_removed(site: Elsewhere, here: Path) -> None:
    old, _ = make(site, all_of(here))
    install(here, "more")
    kept, _ = make(site, all_of(here))
    install(here, "most")
    running, _ = make(site, all_of(here))
    home = Path(str(old.environment)).parent
    (home / ".half.abc.partial/bin").mkdir(parents=True)
    long_ago = time.time() - 61 * 86400
    for path in (f"{old.environment}/used", f"{running.environment}/used", home / "wheels/more-1.0-py3-none-any.whl"):
        os.utime(path, (long_ago, long_ago))
    os.utime(home / ".half.abc.partial", (long_ago, long_ago))
    process = subprocess.Popen([running.python, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        install(here, "last")
        wanted = needs([one(here, name) for name in ("last", "lib")])
        done, _ = make(site, wanted)
    finally:
        process.communicate()
    assert done.removed == (os.path.basename(str(old.environment)),)
    left = {name for name in os.listdir(home) if not name.endswith(".lock")}
    names = {os.path.basename(str(one_.environment)) for one_ in (kept, running, done)}
    assert left == names | {"wheels"}
    assert not (home / "wheels/more-1.0-py3-none-any.whl").exists()
    assert (home / "wheels/lib-1.0-py3-none-any.whl").exists()


def test_a_home_that_cannot_be_written(site: Elsewhere, here: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OffloadError, match=r"/file.* on elsewhere: (Not a directory|File exists)"):
        make(site, all_of(here), str(tmp_path / "file" / "environments"))
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(NotWritableError, match=r"/locked/.* on elsewhere cannot be written: Permission denied"):
            make(site, all_of(here), str(tmp_path / "locked/environments"))


def test_too_little_room_is_seen_before_anything_is_sent(
    site: Elsewhere, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "size", lambda dist: 10**15)
    with pytest.raises(DiskFullError, match=r"on elsewhere has .* MB free, and about .* MB are needed"):
        make(site, all_of(here))


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    requires_root()
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    requires(done.returncode == 0, f"needs a mount: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True, timeout=60)


@pytest.mark.real
def test_a_disk_that_gets_full(site: Elsewhere, here: Path, mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(here, "large", files={"large.py": os.urandom(1_000_000).hex()})
    monkeypatch.setattr(gather, "size", lambda dist: 1)  # a quota is not seen in advance
    with pytest.raises(DiskFullError, match=r"no space is left for .* on elsewhere: .*\n.*OFFLOAD_HOME"):
        make(site, all_of(here), str(mount / "environments"))
    assert not [name for name in os.listdir(mount / "environments/wheels") if name.startswith(".")]
    subprocess.run(["mount", "-o", "remount,ro", mount], check=True, timeout=60)
    with pytest.raises(NotWritableError, match="cannot be written: Read-only file system"):
        make(site, all_of(here), str(mount / "elsewhere/environments"))
