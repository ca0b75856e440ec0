"""What a text names were it run: the words of most are known without compiling them, with the same result."""

from __future__ import annotations

import pytest

from offload.identity.functions import names_in_strings
from offload.identity.functions.bytecode import inspect_code
from offload.identity.functions.names_in_strings import named_when_run

TEXTS = (
    "word", "limits.RATE", "a.b.c", "None", "class", "a.class", "getattr", "x.getattr", "import_module", "größe", "ﬁ",
    "a b", "a = b + c.d", "import os.path", "from json import loads", "getattr(a, 'b')", "__import__('os')", "", " x ",
    "def f(x):\n    return y(x)",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_words_and_code_name_what_compiling_them_tells(text: str) -> None:
    code = names_in_strings._compiled(text)
    names, imports = named_when_run(text)
    assert names == (inspect_code(code).names if code is not None else set())
    reads = [] if code is None else inspect_code(code).reads
    assert [read.key for read in imports] == [read.key for read in reads if read.kind in ("import", "load")]


def test_words_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(text: str) -> None:
        raise AssertionError(f"{text} is compiled")

    monkeypatch.setattr(names_in_strings, "_compiled", refused)
    names, imports = named_when_run("never.seen_before")
    assert (set(names), imports) == ({"never", "seen_before"}, ())
