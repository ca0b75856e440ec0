"""Effects count wherever a call runs: in threads, tasks, workers, and calls within calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.effects import warnings
from offload.errors import NotRecordedWarning
from tests.compute.conftest import Log
from tests.compute.test_calls import mark

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    submit.shutdown()
    yield
    submit.shutdown()


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text"
    path.write_text("text")
    return str(path)


@offload.task
def read(log: str, path: Any) -> str:
    mark(log)
    return Path(path).read_text()


@offload.task
def in_thread(path: str) -> str:
    found = []
    thread = threading.Thread(target=lambda: found.append(Path(path).read_text()))
    thread.start()
    thread.join()
    return found[0]


@offload.task
def in_pool(path: str) -> list[str]:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda p: Path(p).read_text(), [path]))


@offload.task
def in_loop(path: str) -> str:
    async def later() -> str:
        return await asyncio.to_thread(Path(path).read_text)

    return asyncio.run(later())


@pytest.mark.parametrize("task", [in_thread, in_pool, in_loop])
def test_threads(task: Any, text: str) -> None:
    with pytest.warns(NotRecordedWarning, match=f"it read {text}"):
        task(text)


def test_the_pool_of_a_library(text: str) -> None:
    """Its threads may be older than the call that they work for."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        run = pool.submit

        class Library:
            def __reduce__(self) -> Any:
                return str, ()

            def read(self, path: str) -> str:
                return str(run(Path(path).read_text).result())

        @offload.task
        def use(library: Any, path: str) -> str:
            return str(library.read(path))

        with pytest.warns(NotRecordedWarning, match=f"it read {text}"):
            assert use(Library(), text) == "text"


def test_others_do_not_count(text: str) -> None:
    """What the main thread does while a call runs in another one."""
    reached, go_on = threading.Event(), threading.Event()

    class Wait:
        def __reduce__(self) -> Any:
            return str, ("wait",)

        def __call__(self) -> None:
            reached.set()
            go_on.wait(60)

    @offload.task
    def wait(how: Any) -> int:
        how()
        return 1

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(wait, Wait())
        assert reached.wait(60)
        Path(text).read_text()
        go_on.set()
        assert running.result(60) == 1
    assert wait.submit(Wait()).recalled


@offload.task
async def asynchronous(log: str, path: Any) -> str:
    mark(log)
    await asyncio.sleep(0)
    return await asyncio.to_thread(Path(path).read_text)


def test_coroutines(log: Log, text: str) -> None:
    async def two() -> None:
        pair = asynchronous(log.path, text), asynchronous(log.path, offload.File(text))
        with pytest.warns(NotRecordedWarning, match=f"it read {text}") as caught:
            assert list(await asyncio.gather(*pair)) == ["text", "text"]
        assert len(caught) == 1

    asyncio.run(two())
    assert asyncio.run(asynchronous(log.path, offload.File(text))) == "text"
    assert log.runs == 2


def test_workers(log: Log, text: str) -> None:
    for _ in range(2):
        warnings._told.clear()
        with pytest.warns(NotRecordedWarning, match=f"test_where:read: .*it read {text}") as caught:
            assert offload.gather(read.map([log.path] * 2, [text, Path(text)])) == ["text"] * 2
        assert len(caught) == 1
    assert log.runs == 4
    future = read.submit(log.path, text)  # told already
    assert future.result(60) == "text"
    assert future.recalled is False
    for recalled in (False, True):
        future = read.submit(log.path, offload.File(text))
        assert (future.result(60), future.recalled) == ("text", recalled)


def test_workers_know_the_files_that_the_function_reaches(text: str) -> None:
    file = offload.File(text)

    @offload.task
    def own() -> str:
        return Path(file).read_text()

    vouched = offload.task(Path.read_text, effects="ignore")

    for recalled in (False, True):
        futures = [own.submit(), vouched.submit(Path(text))]
        assert offload.gather(futures) == ["text", "text"]
        assert [future.recalled for future in futures] == [recalled] * 2


@offload.task
def twice(value: int) -> int:
    return 2 * value


@offload.task
def outer(log: str, value: int) -> int:
    mark(log)
    total: int = sum([twice(value), *offload.gather([twice.submit(value), *twice.map([value, 7])])], 0)
    return total


@pytest.mark.parametrize("known", [False, True])
def test_calls_within_calls(log: Log, known: bool) -> None:
    """Storage, database and cluster, which offload opens meanwhile, are no effects of the outer call."""
    if known:
        twice(5)
    assert outer(log.path, 5) == outer(log.path, 5)
    assert outer.submit(log.path, 6).result(60) == outer(log.path, 6)
    assert log.runs == 2


@offload.task
def reads_by_call(path: str) -> str:
    return str(read(path + ".log", path))


@offload.task
def reads_by_submit(path: str) -> str:
    return str(read.submit(path + ".log", path).result())


@offload.task
def declares_for_another(path: str) -> str:
    return str(read(path + ".log", offload.File(path)))


@pytest.mark.parametrize("task", [reads_by_call, reads_by_submit, declares_for_another])
@pytest.mark.filterwarnings("ignore:.*read. the result:offload.errors.NotRecordedWarning")
def test_what_an_inner_call_reads_the_outer_one_reads(task: Any, text: str) -> None:
    for _ in range(2):
        with pytest.warns(NotRecordedWarning, match=rf"{task.function.__name__}: .*it read {text}"):
            assert task(text) == "text"


def test_a_script_that_is_the_first_to_want_a_temporary_directory(home: Path, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import offload, sys, tempfile
        @offload.task
        def scribble():
            with tempfile.TemporaryDirectory() as folder, open(folder + "/x", "w") as file:
                return file.write("x")
        assert tempfile.tempdir is None
        assert scribble() == 1
        assert offload.why(scribble).hit
    """)
    script = tmp_path / "script.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_that_ignores_nothing(home: Path, text: str) -> None:
    program = textwrap.dedent(f"""
        import offload
        @offload.task
        def read():
            with open({text!r}) as file:
                return file.read()
        if __name__ == "__main__":
            print(read())
            print(offload.gather(read.map()), read.submit().result())
    """)
    script = Path(text).with_name("script.py")
    script.write_text(program)
    for content in ("one", "two"):
        Path(text).write_text(content)
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=100)
        assert done.stdout == f"{content}\n[] {content}\n"
        assert "NotRecordedWarning: script:read" in done.stderr.replace("__main__", "script")
        assert "Traceback" not in done.stderr
