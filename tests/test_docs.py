"""The code in README.md and the tutorial does what these pages say.

Blocks marked ``python`` are run; one that starts with a comment that names a file (``# area.py``) is
written to that file instead, for the blocks after it. In blocks marked ``console`` each line after ``$``
is run by one shell, and what the page shows of its output must come, where ``...`` stands for anything.
All blocks of a page share a directory and a home.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import ROOT, Block, Document

PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "tutorial.md",
    pytest.param(ROOT / "docs" / "deployments.md", marks=pytest.mark.real),
]
MARK = "-- end of command --"


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The command lines of a console block, each with the output that the page shows."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        count = 1
        while lines[count - 1].endswith("\\"):
            count += 1
        yield "\n".join(lines[:count]), "\n".join(lines[count:]).strip()


def matches(shown: str, output: str) -> bool:
    """Whether the output is what the page shows; without anything shown, all is well."""
    if not shown:
        return True
    lines = [
        ".*" if line.strip() == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*")
        for line in shown.splitlines()
    ]
    return re.fullmatch("\n".join(lines), output.strip(), re.DOTALL) is not None


def settled(output: str) -> str:
    """Return what came without the lines on progress that only a slow machine shows."""
    waiting = r"offload: (?:waiting for \d+ calls? .*|starting workers)\n"
    return re.sub(rf"^{waiting}|^offload: (\d+) of (?!\1:)\d+: .*\n", "", output, flags=re.MULTILINE)


def run(command: list[str], text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OFFLOAD_HOME": str(directory.parent / "home"), "COLUMNS": "100", "NO_COLOR": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env=environment,
        timeout=100,
        check=False,
    )


def check_console(block: Block, directory: Path) -> None:
    parts = list(commands(block.text))
    script = "".join(f"{{ {line}\n}} </dev/null; echo; echo '{MARK}'\n" for line, _ in parts)
    done = run(["bash"], script, directory)
    outputs = done.stdout.split(f"\n{MARK}\n")
    assert len(outputs) == len(parts) + 1, done.stdout
    for (line, shown), output in zip(parts, outputs, strict=False):
        assert matches(shown, settled(output + "\n")), f"$ {line}\n{output.strip()}\n--- the page shows:\n{shown}"


def check_python(block: Block, directory: Path) -> None:
    named = re.match(r"# ([\w.-]+\.py)\n", block.text)
    path = directory / (named[1] if named else "block.py")
    path.write_text(block.text)
    if not named:
        done = run([sys.executable, path.name], "", directory)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_code_of_the_page(path: Path, tmp_path: Path) -> None:
    directory = tmp_path / "work"
    directory.mkdir()
    checks = {"console": check_console, "python": check_python}
    blocks = [block for block in Document(path).blocks() if block.language in checks]
    assert blocks, "the page shows no code that can be run"
    try:
        for block in blocks:
            checks[block.language](block, directory)
    finally:
        if (tmp_path / "home" / "deployments").exists():
            run(["offload", "down", "--all"], "", directory)


@pytest.mark.parametrize(
    ("shown", "output", "expected"),
    [
        ("", "anything", True),
        ("a\nb", "a\nb\n", True),
        ("a", "a\nb", False),
        ("a ... c", "a b c", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("1.5", "1x5", False),
    ],
)
def test_outputs_are_compared(shown: str, output: str, expected: bool) -> None:
    assert matches(shown, output) is expected


def test_progress_on_a_slow_machine_is_left_out() -> None:
    lines = ["328", "offload: waiting for 3 calls to finish and be recorded (Ctrl-C ends them)"]
    lines += ["offload: 1 of 12: 1 computed; 9 s", "offload: 12 of 12: 12 computed; 9 s", ""]
    assert settled("\n".join(lines)) == "328\noffload: 12 of 12: 12 computed; 9 s\n"


def test_a_page_that_lies_is_found(tmp_path: Path) -> None:
    check_console(Block("console", "$ echo a \\\n  b\na b\n$ echo c >&2\nc\n", 1), tmp_path)
    with pytest.raises(AssertionError, match="the page shows"):
        check_console(Block("console", "$ echo a\nb\n", 1), tmp_path)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        check_python(Block("python", "1 / 0\n", 1), tmp_path)
