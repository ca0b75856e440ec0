from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from offload.environments.installed import Installed
from offload.environments.payload.wheels import install as unpack
from offload.environments.payload.wheels import site_packages
from offload.environments.wheels.pack import pack, wheel_name
from offload.errors import OffloadError
from tests.deploy.software.machines import install, one, site_directory


def packed(dist: Installed) -> bytes:
    file = io.BytesIO()
    pack(dist, file)
    return file.getvalue()


def names(wheel: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def unpacked(dist: Installed, folder: Path, final: str = "") -> Path:
    wheel = folder / wheel_name(dist)
    folder.mkdir()
    wheel.write_bytes(packed(dist))
    unpack(str(wheel), str(folder / "env"), final or str(folder / "env"))
    return Path(site_packages(str(folder / "env")))


def test_the_same_files_in_another_environment(tmp_path: Path) -> None:
    site = site_directory(tmp_path / "here")
    install(
        site,
        "tool",
        "2.0",
        {"tool/__init__.py": "def main():\n    print('done')\n", "tool/data.txt": "data", "single.py": "x = 1\n"},
        points="[console_scripts]\ntool-run = tool:main\n",
        scripts={"tool-run": "made by pip", "tool-raw": f"#!{sys.executable}\nimport single\nprint(single.x)\n"},
    )
    assert wheel_name(one(site, "tool")) == "tool-2.0-py3-none-any.whl"
    there = unpacked(one(site, "tool"), tmp_path / "there")
    assert (there / "tool/data.txt").read_text() == "data"
    scripts = there.parents[2] / "bin"
    assert sorted(os.listdir(scripts)) == ["tool-raw", "tool-run"]
    for script in scripts.iterdir():
        assert script.read_text().startswith(f"#!{there.parents[2]}/bin/python\n")
        assert os.access(script, os.X_OK)
    (scripts / "python").symlink_to(sys.executable)
    run = {"env": {"PYTHONPATH": str(there)}, "capture_output": True, "check": True}
    assert subprocess.run([scripts / "tool-run"], **run).stdout == b"done\n"  # type: ignore[call-overload]
    assert subprocess.run([scripts / "tool-raw"], **run).stdout == b"1\n"  # type: ignore[call-overload]
    again = one(there, "tool")
    assert packed(again) == packed(one(site, "tool")), "what was installed from it can be packed again"


def test_the_same_content_gives_the_same_wheel(tmp_path: Path) -> None:
    wheels = []
    for number in "12":
        site = site_directory(tmp_path / number)
        install(site, "same")
        os.utime(site / "same/__init__.py", (1, 1000 * int(number)))
        wheels.append(packed(one(site, "same")))
    assert wheels[0] == wheels[1]


@pytest.mark.parametrize("place", ["/long" * 40, "/with a space"])
def test_scripts_of_environments_with_unusual_paths(tmp_path: Path, place: str) -> None:
    site = site_directory(tmp_path / "here")
    install(site, "tool", points="[console_scripts]\ntool = tool:main\n")
    there = tmp_path / "deep" / place.strip("/")
    there.parent.mkdir(parents=True)
    modules = unpacked(one(site, "tool"), there)
    (modules / "tool/__init__.py").write_text("def main():\n    print('done')\n")
    python = there / "env/bin/python"
    python.symlink_to(sys.executable)
    done = subprocess.run(
        [there / "env/bin/tool"], env={"PYTHONPATH": str(modules)}, capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"done\n"


def editable(tmp_path: Path, **lines: str) -> Installed:
    """A project that is installed in place; `lines` are the files beside its metadata."""
    source = tmp_path / "project"
    site = site_directory(tmp_path / "env")
    install(
        site,
        "mine",
        files={name.replace("_DOT_", "."): text for name, text in lines.items()},
        origin={"dir_info": {"editable": True}, "url": source.as_uri()},
        points="[console_scripts]\nmine = mine:main\n",
    )
    return one(site, "mine")


def write(folder: Path, *names_: str) -> None:
    for name in names_:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("value = 1\n")


def test_an_editable_project_by_a_path_file(tmp_path: Path) -> None:
    source = tmp_path / "project/src"
    write(source, "mine/__init__.py", "mine/part/data.csv", "mine/__pycache__/x.pyc", "alone.py", "setup.py")
    write(source, "docs/text.md", ".venv/lib/other.py", "named/space/module.py", "mine.egg-info/PKG-INFO")
    dist = editable(tmp_path, mine_DOT_pth=f"{source}\n")
    found = {name for name in names(packed(dist)) if ".dist-info" not in name}
    assert found == {"mine/__init__.py", "mine/part/data.csv", "alone.py", "named/space/module.py"}
    there = unpacked(dist, tmp_path / "there")
    origin = json.loads((there / "mine-1.0.dist-info/direct_url.json").read_text())
    assert "dir_info" in origin, "it counts by content there, too"
    assert str(tmp_path) not in origin["url"]
    assert (there.parents[2] / "bin/mine").exists()


def test_an_editable_project_by_setuptools_finder(tmp_path: Path) -> None:
    source = tmp_path / "project"
    write(source, "lib/mine/__init__.py", "lib/mine/deep/x.py", "one.py", "tests/test_x.py")
    mapping = {"mine": f"{source}/lib/mine", "one": f"{source}/one"}
    finder = f"from __future__ import annotations\nMAPPING: dict[str, str] = {mapping!r}\n"
    dist = editable(
        tmp_path,
        __editable___mine_finder_DOT_py=finder,
        __editable___DOT_mine_DOT_pth="import __editable___mine_finder; __editable___mine_finder.install()",
    )
    assert {n for n in names(packed(dist)) if ".dist-info" not in n} == {"mine/__init__.py", "mine/deep/x.py", "one.py"}


def test_an_edited_project_is_another_wheel(tmp_path: Path) -> None:
    source = tmp_path / "project"
    write(source, "mine/__init__.py")
    dist = editable(tmp_path, mine_DOT_pth=f"{source}\n")
    before = wheel_name(dist)
    assert before.startswith("mine-1.0-0x")
    assert wheel_name(dist) == before
    (source / "mine/__init__.py").write_text("value = 2\n")
    assert wheel_name(dist) != before


def test_an_editable_project_that_cannot_be_followed(tmp_path: Path) -> None:
    dist = editable(tmp_path, _mine_DOT_pth="import something_of_its_own\n")
    with pytest.raises(OffloadError, match=r"mine is installed editable in a way.*\n.*pip install .*/project"):
        packed(dist)


def test_files_that_have_gone(tmp_path: Path) -> None:
    site = site_directory(tmp_path)
    install(site, "slim", files={"slim.py": "x = 1\n", "slim_tests.py": "x = 2\n"})
    (site / "slim_tests.py").unlink()
    assert {name for name in names(packed(one(site, "slim"))) if ".dist-info" not in name} == {"slim.py"}
    (site / "slim.py").unlink()
    with pytest.raises(OffloadError, match=r"the files of slim 1.0 have gone: .*slim.py\n.*pip install"):
        packed(one(site, "slim"))


def test_files_beside_the_modules(tmp_path: Path) -> None:
    site = site_directory(tmp_path / "here")
    outside = {
        "../../../lib/libfast.so": "binary",
        "../../../share/doc/x": "text",
        "../../../../elsewhere": "not its own",
    }
    install(site, "fast", files={"fast.py": "x = 1\n", **outside})
    there = unpacked(one(site, "fast"), tmp_path / "there")
    env = there.parents[2]
    assert (env / "lib/libfast.so").read_text() == "binary"
    assert (env / "share/doc/x").read_text() == "text"
    assert not list(tmp_path.glob("there/**/elsewhere"))


def test_a_wheel_that_leads_out_of_its_environment(tmp_path: Path) -> None:
    wheel = tmp_path / "bad-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("bad-1.0.dist-info/METADATA", "Name: bad\nVersion: 1.0\n")
        archive.writestr("../../../../../outside.py", "x = 1\n")
    with pytest.raises(ValueError, match="outside of the environment"):
        unpack(str(wheel), str(tmp_path / "env"), str(tmp_path / "env"))
    assert not (tmp_path.parent / "outside.py").exists()


def test_offload_itself(tmp_path: Path) -> None:
    from offload.environments.installed import installed

    own = next(dist for dist in installed() if dist.name == "offload")
    found = names(packed(own))
    assert {"offload/__init__.py", "offload/environments/finding.sh", "offload-0.1.0.data/scripts/offload"} <= found
    assert not any(name.endswith((".pyc", ".pth")) for name in found)
