"""Where a result was computed."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from offload.api.command import run
from offload.api.decorator import task
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode
from offload.records import provenance
from offload.registry.session import current


def double(x: int) -> int:
    return 2 * x


def test_a_command_and_a_call_say_alike_where_they_ran(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER", "somebody else")
    run(["true"])
    task(double)(1)
    keys = provenance.where().keys()
    first, second = (
        {key: value for key, value in decode(each.details).items() if key in keys} for each in current().database.runs()
    )
    assert first == second == provenance.where()
    assert first["user"] == pwd.getpwuid(os.getuid()).pw_name
    assert first["directory"] == os.path.realpath(tmp_path)


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1_234_567)
    assert provenance.where()["user"] == "1234567"


def test_a_directory_whose_name_is_no_text_or_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff")
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert provenance.where()["directory"] == str(os.path.realpath(tmp_path)) + "/odd\N{REPLACEMENT CHARACTER}"
    encode(provenance.where())
    odd.rmdir()
    assert provenance.where()["directory"] == ""
