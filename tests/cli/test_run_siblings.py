"""What a Python script imports from beside it, and was not declared: the message names the flag, and the flag works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Inside

FILES = {
    "helper.py": "VALUE = 1\n",
    "pkg/__init__.py": "from . import part\n",
    "pkg/part.py": "from .deep.most import VALUE\n",
    "pkg/deep/most.py": "VALUE = 2\n",
    "pkg/__main__.py": "from . import part\nprint(part.VALUE)\n",
    "src/near.py": "VALUE = 3\n",
    "src/uses_near.py": "import near\nprint(near.VALUE)\n",
    "one.py": "import helper\nprint(helper.VALUE)\n",
    "two.py": "from pkg.part import VALUE\nprint(VALUE)\n",
    "three.py": "def f():\n    from helper import VALUE\n    return VALUE\nprint(f())\n",
    "reads.py": "print(open('pkg/deep/most.py').read())\n",
}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["one.py"], ["helper.py"]),
        (["two.py"], ["pkg"]),
        (["three.py"], ["helper.py"]),
        (["-m", "pkg"], []),
        (["-m", "one"], ["one.py", "helper.py"]),
        (["-c", "import helper"], ["helper.py"]),
        (["src/uses_near.py"], ["src/near.py"]),
        (["reads.py"], ["pkg/deep/most.py"]),
    ],
)
def test_each_message_leads_to_the_next_step(inside: Inside, work: Path, words: list[str], flags: list[str]) -> None:
    given: list[str] = []
    for flag in flags:
        done = inside("run", *given, "--", "python3", *words, cwd=work)
        assert done.returncode == 1
        assert f"offload: {flag} exists here but is not an input: add --input {flag}\n" in done.stderr.decode()
        given += ["--input", flag]
    done = inside("run", *given, "--", "python3", *words, cwd=work)
    assert done.returncode == 0, done.stderr


def test_a_part_of_a_package_is_declared(inside: Inside, work: Path) -> None:
    done = inside("run", "--input", "pkg/__init__.py", "--", "python3", "two.py", cwd=work)
    assert done.returncode == 1
    assert b"add --input pkg\n" in done.stderr
    assert (
        inside("run", "--input", "pkg/__init__.py", "--input", "pkg", "--", "python3", "two.py", cwd=work).returncode
        == 0
    )


@pytest.mark.parametrize(
    "text",
    [
        "cat helper.py",
        "cat<helper.py",
        "x=helper.py; cat $x",
        'cat "helper.py"',
        "cat ./pkg/../helper.py | wc",
        "if test -f helper.py; then cat helper.py; else exit 1; fi",
        "cat h*.py",
        "env python3 one.py && ls",
    ],
)
def test_files_in_a_program_text(inside: Inside, work: Path, text: str) -> None:
    words = ["--input", "helper.py"] if "one.py" in text else []
    assert inside("run", *words, "--", "sh", "-c", text, cwd=work).returncode == 0
    assert b"recalled" in inside("run", *words, "--", "sh", "-c", text, cwd=work).stderr
    (work / "helper.py").write_text("VALUE = 4\n")
    done = inside("run", *words, "--", "sh", "-c", text, cwd=work)
    assert b"computed" in done.stderr


def test_the_same_content_elsewhere_is_a_hit_and_another_name_is_none(
    inside: Inside, work: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "helper.py").write_text(FILES["helper.py"])
    inside("run", "--", "cat", "helper.py", cwd=work)
    assert b"recalled" in inside("run", "--", "cat", "helper.py", cwd=other).stderr
    (other / "helper.py").rename(other / "renamed.py")
    assert b"computed" in inside("run", "--", "cat", "renamed.py", cwd=other).stderr
