"""Environments that are made of lock files, by several programs at once."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from offload.api.named import locked


def test_who_waits_for_another_program_that_makes_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, home = tmp_path / "a.lock", str(tmp_path / "environments")
    lock.write_text("six==1.16.0\n")
    told, waits, made = list[str](), threading.Event(), list[str]()

    def tell(line: str) -> None:
        told.append(line)
        if "waiting" in line:
            waits.set()

    def make(place: str, *_: object) -> None:
        assert waits.wait(60)
        os.makedirs(place)
        made.append(place)

    monkeypatch.setattr(locked, "_make", make)
    with ThreadPoolExecutor() as pool:
        paths = {*pool.map(lambda _: locked.python_of(str(lock), home, tell), range(2))}
    assert len(made) == 1 and paths == {os.path.join(made[0], "bin", "python")}
    assert sorted(told) == [
        f"another program makes the environment of {lock}; waiting for it", f"making the environment of {lock}"
    ]  # fmt: skip
