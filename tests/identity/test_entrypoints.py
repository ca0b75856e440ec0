"""Plug-ins that are found by entry points count where code names their group."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from offload.identity.functions.graph import Graph

WAYS = [
    "from importlib.metadata import entry_points\ndef found(): return entry_points(group='shapes.plugins')",
    "import importlib.metadata as m\nGROUP = 'shapes.plugins'\ndef found(): return m.entry_points(group=GROUP)",
    "import importlib.metadata\ndef found(): return importlib.metadata.entry_points().select(group='shapes.plugins')",
]
TEXT = "\ndef f(x): return {point.name: point.load()(x) for point in found()}\n"


def install(site: Path, name: str, *lines: str) -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[shapes.plugins]", *lines, "[other.group]", "x = json:loads"]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("shapes_of_mine", "round_shapes", "asking"):
        sys.modules.pop(name, None)


def graph_of(site: Path, text: str) -> Graph:
    (site / "asking.py").write_text(text)
    for name in ("shapes_of_mine", "round_shapes", "asking"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    root: Callable[..., Any] = importlib.import_module("asking").f
    return Graph(root)


@pytest.mark.parametrize("way", WAYS)
def test_plugins_count_by_their_code(site: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (site / "shapes_of_mine.py").write_text("def square(x): return x * x\ndef other(x): return x\n")
    (site / "round_shapes.py").write_text("def circle(x): return 3 * x\n")
    install(site, "shapes", "square = shapes_of_mine:square")
    first = graph_of(site, way + TEXT)
    assert not first.unfollowed
    (site / "shapes_of_mine.py").write_text("def square(x): return x * x  # fast\ndef other(x): return x + 1\n")
    assert graph_of(site, way + TEXT).checksum == first.checksum
    (site / "shapes_of_mine.py").write_text("def square(x): return x ** 3\ndef other(x): return x\n")
    second = graph_of(site, way + TEXT)
    assert second.checksum != first.checksum
    install(site, "rounds", "circle = round_shapes:circle")
    third = graph_of(site, way + TEXT)
    assert third.checksum != second.checksum
    (site / "round_shapes.py").write_text("def circle(x): return 4 * x\n")
    assert graph_of(site, way + TEXT).checksum != third.checksum


def test_a_group_that_the_code_does_not_name_is_told(site: Path) -> None:
    install(site, "shapes", "square = shapes_of_mine:square")
    graph = graph_of(site, "from importlib.metadata import entry_points\ndef f(g): return entry_points(group=g)\n")
    assert graph.unfollowed == {"asking:f": ["importlib.metadata.entry_points"]}
