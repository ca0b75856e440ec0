"""The home that calls see, where several threads run them."""

from __future__ import annotations

import os

import pytest

from offload.registry.scope import at_home

A = ("/a", "/a/store", "/a/database", "")


@pytest.mark.parametrize("before", [None, "/before"])
def test_the_last_thread_puts_it_back(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv("OFFLOAD_HOME", raising=False)
    if before is not None:
        monkeypatch.setenv("OFFLOAD_HOME", before)
    first, second, other = at_home(A), at_home(A), at_home(("/b", "/b", "/b", "far"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["OFFLOAD_HOME"] == "/a"
    other.__enter__()
    assert os.environ["OFFLOAD_HOME"] == os.environ["OFFLOAD_DATABASE"] == "/b"
    other.__exit__(None, None, None)
    assert os.environ["OFFLOAD_HOME"] == "/a"
    second.__exit__(None, None, None)
    assert os.environ.get("OFFLOAD_HOME") == before
    assert not {"OFFLOAD_BUFFERS", "OFFLOAD_ALSO"} & set(os.environ)
