"""Two projects with different pandas on one deployment, at the same time.

What they need is kept in ``.cache/everyday`` of the checkout; making it needs the network once.
"""

from __future__ import annotations

import fcntl
import json
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.everyday.places import up
from tests.everyday.workshop import REPOSITORY, Workshop, pip, run, site_packages

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

VERSIONS = ("2.2.3", "2.3.3")
SCRIPT = """
import json, sys
import pandas
import offload

@offload.task
def means(frame):
    return pandas.__version__, sys.prefix, frame.groupby("kind").length.mean()

if __name__ == "__main__":
    frame = pandas.DataFrame({"kind": list("abab"), "length": [1.0, 2, 3, 5]})
    futures = means.map([frame.assign(length=frame.length + n) for n in range(8)])
    values = offload.gather(futures)
    assert [list(found) for _, _, found in values] == [[n + 2.0, n + 3.5] for n in range(8)], values
    print(json.dumps([sorted({tuple(one[:2]) for one in values}), [future.recalled for future in futures]]))
"""


def pandas(version: str) -> Path:
    """Return a directory of installed distributions that has pandas and what it requires, made once."""
    place = REPOSITORY / ".cache" / "everyday" / f"pandas-{version}-{sysconfig.get_python_version()}"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            run(sys.executable, "-m", "venv", "--clear", "--without-pip", place / "environment")
            pip(place / "environment", "install", "--prefer-binary", f"pandas=={version}")
            (place / "complete").touch()
    return site_packages(place / "environment")


def project(directory: Path, version: str) -> Path:
    """Make a project with an environment of its own, which has offload and pandas; return its Python."""
    environment = directory / ".venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    paths = (pandas(version), sysconfig.get_path("purelib"), REPOSITORY / "src")
    (site_packages(environment) / "0project.pth").write_text("".join(f"{path}\n" for path in paths))
    (directory / "main.py").write_text(SCRIPT)
    return environment / "bin" / "python"


def test_projects_with_different_pandas_on_one_deployment(tmp_path: Path) -> None:
    workshop = Workshop.make(tmp_path / "shop")
    places = {version: tmp_path / f"project-{version}" for version in VERSIONS}
    pythons = {version: project(place, version) for version, place in places.items()}

    def found(version: str) -> object:
        text = workshop.program(pythons[version], "main.py", cwd=places[version])
        return json.loads(text.splitlines()[-1])

    with up("here", workshop), ThreadPoolExecutor() as threads:
        for recalled in (False, True):
            expected = [[[[version, str(places[version] / ".venv")]], [recalled] * 8] for version in VERSIONS]
            assert list(threads.map(found, VERSIONS)) == expected
