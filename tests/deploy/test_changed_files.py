"""Calls on a deployment that change the files by which they were identified: told, and never recorded."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.errors import NotRecordedWarning
from offload.registry.deployments import Registry

pytestmark = pytest.mark.real

SECONDS = 120.0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a deployment with two workers, which sees the files of this machine."""
    home = tmp_path_factory.mktemp("home")
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=2), print)
    yield home
    launch.down(registry, registry.get("test"), print)


@pytest.fixture(autouse=True)
def there(up: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls go to the deployment."""
    monkeypatch.setenv("OFFLOAD_HOME", str(up))
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    yield
    submit.shutdown()


def add_to(path: Any) -> str:
    with open(path, "a") as file:
        file.write(" and more")
    return "done"


@offload.task
def direct(file: Any) -> str:
    return add_to(file)


@offload.task
def nested(files: dict[str, list[Any]]) -> str:
    return add_to(files["some"][0])


@offload.task
def in_directory(directory: Any) -> str:
    return add_to(os.path.join(directory, "in.txt"))


@offload.task
def gives_back(file: Any) -> Any:
    add_to(file)
    return offload.File(file)


@offload.task
def calls_another(file: Any) -> str:
    return direct(file)


@offload.task
def submits_another(file: Any) -> str:
    return direct.submit(file).result()


def of_default(path: Path, *arguments: int) -> Any:
    @offload.task
    def with_default(number: int = 0, file: Any = offload.File(path)) -> str:  # noqa: B008 - it is what this is about
        return add_to(file)

    return with_default.submit(*arguments)


def of_closure(path: Path) -> Any:
    file = offload.File(path)

    @offload.task
    def with_file() -> str:
        return add_to(file)

    return with_file.submit()


def of_declared(path: Path) -> Any:
    place = str(path)

    @offload.task(depends_on=[path])
    def with_dependency() -> str:
        return add_to(place)

    return with_dependency.submit()


TOLD = r"not recorded: offload\.\w+\('.*'\) changed while it was used$"


def made(kind: Callable[[Path], Any], path: Path, text: str) -> Any:
    """Return the future of a call that has ended, and has changed a file that held a text."""
    path.write_text(text)
    future = kind(path)
    future.result(timeout=SECONDS)
    assert path.read_text() == f"{text} and more"
    return future


KINDS: dict[str, Callable[[Path], Any]] = {
    "argument": lambda path: direct.submit(offload.File(path)),
    "map": lambda path: direct.map([offload.File(path)])[0],
    "nested": lambda path: nested.submit({"some": [offload.File(path)]}),
    "directory": lambda path: in_directory.submit(offload.Directory(path.parent)),
    "given back": lambda path: gives_back.submit(offload.File(path)),
    "in a call": lambda path: calls_another.submit(offload.File(path)),
    "submitted in a call": lambda path: submits_another.submit(offload.File(path)),
    "default": of_default,
    "default beside plain arguments": lambda path: of_default(path, 1),
    "closure": of_closure,
    "depends_on": of_declared,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_changes_its_input_is_told_and_made_again(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "in.txt"
    with pytest.warns(NotRecordedWarning, match=TOLD):
        futures = [made(KINDS[kind], path, f"some {kind}") for _ in range(2)]
    assert not any(future.recalled for future in futures)
    assert all(re.search(TOLD, future.unrecorded) for future in futures)


@offload.task(effects="ignore")
def read_when_told(file: Any, begun: str, told: str) -> str:
    """Say that it has begun, and wait for a word through named pipes."""
    with open(begun, "w"), open(told):
        return Path(file).read_text()


def changed_before_it_is_read(path: Path, begun: Path, told: Path) -> str:
    future = read_when_told.submit(offload.File(path), str(begun), str(told))
    with open(begun):
        path.write_text("after")
    with open(told, "w"):
        pass
    return future.result(timeout=SECONDS)


def test_a_file_that_somebody_changes_before_it_is_read(tmp_path: Path) -> None:
    path, begun, told = tmp_path / "in.txt", tmp_path / "begun", tmp_path / "told"
    path.write_text("before")
    os.mkfifo(begun)
    os.mkfifo(told)
    with pytest.warns(NotRecordedWarning, match=r"in\.txt'\) changed while it was used$"):
        assert changed_before_it_is_read(path, begun, told) == "after"


@offload.task
def read(file: Any) -> str:
    return Path(file).read_text()


def test_a_file_that_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("text")
    for recalled in (False, True):
        future = read.submit(offload.File(path))
        assert (future.result(timeout=SECONDS), bool(future.recalled), future.unrecorded) == ("text", recalled, None)
