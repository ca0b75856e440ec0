from __future__ import annotations

from pathlib import Path

import pytest

from offload.environments.installed import installed
from offload.environments.locks import find_lock
from offload.environments.wanted import needs
from offload.errors import UsageError
from tests.deploy.software.machines import install, site_directory

UV = """
version = 1
requires-python = ">=3.11"

[[package]]
name = "mine"
version = "0.1.0"
source = { editable = "." }
dependencies = [
    { name = "big-lib", extra = ["fast"] },
    { name = "for-windows", marker = "sys_platform == 'win32'" },
]

[package.dev-dependencies]
dev = [{ name = "pytest" }]

[[package]]
name = "big-lib"
version = "2.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "small-lib" }]

[package.optional-dependencies]
fast = [{ name = "quick" }]

[[package]]
name = "small-lib"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
resolution-markers = ["python_full_version < '3'"]

[[package]]
name = "small-lib"
version = "1.5"
source = { registry = "https://pypi.org/simple" }
resolution-markers = ["python_full_version >= '3'"]

[[package]]
name = "quick"
version = "0.3"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "for-windows"
version = "1"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "pytest"
version = "9"
source = { registry = "https://pypi.org/simple" }
"""

PYLOCK = """
lock-version = "1.0"
created-by = "somebody"
dependency-groups = ["dev"]
default-groups = []

[[packages]]
name = "big-lib"
version = "2.0"

[[packages]]
name = "for-windows"
version = "1"
marker = "sys_platform == 'win32'"

[[packages]]
name = "pytest"
version = "9"
marker = "'dev' in dependency_groups"

[[packages]]
name = "mine"
directory = { path = "." }
"""

PINS = """
# made by a tool
--index-url https://example.org/simple
Big_Lib[fast]==2.0 \\
    --hash=sha256:00 \\
    --hash=sha256:11
quick == 0.3  # a comment
for-windows==1 ; sys_platform == "win32"
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("uv.lock", UV, {"big-lib": "2.0", "small-lib": "1.5", "quick": "0.3"}),
        ("pylock.toml", PYLOCK, {"big-lib": "2.0"}),
        ("requirements.txt", PINS, {"big-lib": "2.0", "quick": "0.3"}),
    ],
)
def test_what_lock_files_say(tmp_path: Path, name: str, text: str, expected: dict[str, str]) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / name).write_text(text)
    (tmp_path / "src/deep").mkdir(parents=True)
    lock = find_lock(str(tmp_path / "src/deep"))
    assert lock is not None
    assert (lock.name, lock.versions) == (name, expected)


def test_requirements_without_versions_are_no_lock(tmp_path: Path) -> None:
    (tmp_path / "setup.py").touch()
    for text in ("numpy\n", "numpy>=1\n", "numpy==1.*\n", "-e .\n", "-r other.txt\n", ""):
        (tmp_path / "requirements.txt").write_text(text)
        assert find_lock(str(tmp_path)) is None


def test_a_lock_of_another_project_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(PINS)
    (tmp_path / "mine/.git").mkdir(parents=True)
    assert find_lock(str(tmp_path / "mine")) is None


@pytest.mark.parametrize("text", ["not toml", "[[package]]\nsource = { editable = '.' }\n", "version = 1\n"])
def test_a_lock_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "uv.lock").write_text(text)
    with pytest.raises(UsageError, match=r"uv\.lock cannot be read"):
        find_lock(str(tmp_path))


def test_versions_of_the_lock_go_first_and_are_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("a==2\nb==1.0\nc==3\nmine==9\n")
    site = site_directory(tmp_path)
    for name in "abd":
        install(site, name)
    install(site, "mine", origin={"dir_info": {}, "url": "file:///home/me/mine"})
    found = needs(installed([str(site)]), find_lock(str(tmp_path)))
    assert [str(one) for one in found.wanted] == ["a==2", "b==1.0", "d==1.0", "mine==1.0", "c==3"]
    assert [one.local is not None for one in found.wanted] == [False, True, True, True, False]
    assert found.differences == ("a 1.0 here, 2 in requirements.txt", "c is not installed here, 3 in requirements.txt")
    assert found.lock == str(tmp_path / "requirements.txt")


def test_the_name_of_an_environment_follows_from_what_it_has(tmp_path: Path) -> None:
    def name(version: str, project: str) -> str:
        site = site_directory(tmp_path / f"{version}{project}")
        install(site, "lib", version)
        install(site, "mine", files={"mine.py": project}, origin={"dir_info": {}, "url": "file:///home/me/mine"})
        return needs(installed([str(site)])).name()

    assert len({name("1", "x = 1"), name("2", "x = 1"), name("1", "x = 2")}) == 3
    site = site_directory(tmp_path / "again")
    install(site, "lib", "1", {"lib.py": "what the same version holds does not count"})
    install(site, "mine", files={"mine.py": "x = 1"}, origin={"dir_info": {}, "url": "file:///elsewhere"})
    assert needs(installed([str(site)])).name() == name("1", "x = 1")
