"""What other users can write is not obeyed: files, directories on the way, links, and the home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from offload.errors import NotTrustedError
from offload.registry.deployments import Registry
from offload.storage.home import Home
from offload.util.trust import VARIABLE, check
from tests.requirements import requires_root

NOBODY = 65534


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration, not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "config" / "offload" / "config.toml"


def refused(path: Path, why: str) -> bool:
    """Tell that a path is refused for this reason."""
    with pytest.raises(NotTrustedError, match=re.escape(why)) as caught:
        check(str(path))
    assert str(path) in caught.value.message and VARIABLE in (caught.value.hint or "")
    return True


@pytest.mark.parametrize("mode", [0o666, 0o662])
def test_a_file_that_others_can_write(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "file"
    check(str(file))  # it is not there
    file.touch(0o644)
    check(str(file))
    file.chmod(mode)
    assert refused(file, "every user can write it")


def test_a_directory_on_the_way(tmp_path: Path) -> None:
    file = tmp_path / "open" / "below" / "file"
    file.parent.mkdir(parents=True)
    file.touch()
    file.parent.parent.chmod(0o777)
    assert refused(file, f"every user can write {file.parent.parent}")
    file.parent.parent.chmod(0o1777)  # as /tmp
    check(str(file))


def test_links_are_followed_one_by_one(tmp_path: Path) -> None:
    file, between = tmp_path / "file", tmp_path / "between"
    file.touch()
    between.mkdir()
    (between / "second").symlink_to(file)
    (tmp_path / "first").symlink_to("between/../between/second")
    check(str(tmp_path / "first"))
    between.chmod(0o777)
    assert refused(tmp_path / "first", f"every user can write {between}")
    (tmp_path / "ring").symlink_to("ring")
    check(str(tmp_path / "ring"))


def test_what_the_user_calls_safe(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "open" / "file"
    file.parent.mkdir()
    file.touch()
    file.parent.chmod(0o777)
    for value in (str(file), str(tmp_path), f"/elsewhere:{file.parent}/", "*"):
        monkeypatch.setenv(VARIABLE, value)
        check(str(file))
    monkeypatch.setenv(VARIABLE, f"{tmp_path}/ope:{file}x")
    assert refused(file, "every user")
    monkeypatch.delenv(VARIABLE)
    config.parent.mkdir(parents=True)
    config.write_text(f'safe = ["{tmp_path}/open"]\n')
    check(str(file))
    config.chmod(0o666)  # then somebody else may have written it there
    assert refused(file, "every user")


def test_a_home_and_what_it_names(home: Path, tmp_path: Path) -> None:
    Home()
    store = tmp_path / "shared"
    store.mkdir()
    store.chmod(0o777)
    with pytest.raises(NotTrustedError, match="shared is not used"):
        Home(buffers=str(store))
    with pytest.raises(NotTrustedError, match=r"shared/d[.]sqlite is not used"):
        Home(database=str(store / "d.sqlite"))
    Registry(str(home)).create("one", "{}")
    Registry(str(home)).get("one")
    (home / "deployments").chmod(0o777)
    with pytest.raises(NotTrustedError, match="deployments"):
        Registry(str(home)).get("one")
    home.chmod(0o777)
    with pytest.raises(NotTrustedError, match="every user can write"):
        Home()


@pytest.mark.real
def test_what_another_user_owns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requires_root()
    file = tmp_path / "trap" / "file"
    file.parent.mkdir()
    file.touch()
    os.chown(file, NOBODY, NOBODY)
    assert refused(file, "it belongs to another user")
    os.chown(file, 0, 0)
    os.chown(file.parent, NOBODY, NOBODY)
    assert refused(file, f"{file.parent} belongs to another user")
    monkeypatch.setenv("SUDO_UID", str(NOBODY))  # whoever became root owns it
    check(str(file))
    monkeypatch.delenv("SUDO_UID")
    os.chown(file.parent, 0, 4321)
    file.parent.chmod(0o775)
    assert refused(file, "the group 4321 can write")
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.lchown(tmp_path / "link", NOBODY, NOBODY)
    assert refused(tmp_path / "link", "belongs to another user")


@pytest.mark.real
def test_what_root_owns_is_fine_for_others(tmp_path: Path) -> None:
    requires_root()
    program = (
        "import os; from offload.util.trust import check; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "check('/etc/passwd'); check('/tmp'); print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=60)
    assert done.stdout == b"fine\n", done.stderr
