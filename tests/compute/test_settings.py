"""What a process is set to: the command line, the time zone, precision and options of libraries."""

from __future__ import annotations

import datetime
import decimal
import locale
import os
import subprocess
import sys
import time
import warnings
from argparse import ArgumentParser
from collections.abc import Callable
from decimal import Decimal
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import offload
from offload.errors import EffectWarning
from offload.identity.libraries.settings import SETTINGS, current, set_to

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.filterwarnings("ignore::offload.errors.EffectWarning")]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "argv", ["program", "1"])
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    before = current(SETTINGS)
    yield
    monkeypatch.undo()
    time.tzset()
    set_to(tuple((name, value) for name, value in before if name in LIBRARIES), LIBRARIES)


LIBRARIES = ("decimal", "locale", "numpy", "pandas", "polars")
TABLE = pd.DataFrame({"a": [1 / 3, 2.0]})


def argv() -> list[str]:
    return sys.argv[1:]


def parsed() -> int:
    parser = ArgumentParser()
    parser.add_argument("number", type=int)
    return int(parser.parse_args().number)


def hour() -> int:
    return datetime.datetime.fromtimestamp(0).hour  # noqa: DTZ006


def hour_of(stamp: float) -> int:
    return time.localtime(stamp).tm_hour


def stamp_of(moment: datetime.datetime) -> float:
    return moment.timestamp()


def third() -> str:
    return str(Decimal(1) / 3)


def ratio(one: Decimal, other: Decimal) -> str:
    return str(one / other)


def shown(table: Any) -> str:
    return str(table)


def day(stamp: int) -> str:
    return locale.format_string("%.1f", stamp)


def zone(name: str) -> Callable[[], None]:
    def set_zone() -> None:
        os.environ["TZ"] = name
        time.tzset()

    return set_zone


def other_arguments() -> None:
    sys.argv[1:] = ["2"]


def other_precision() -> None:
    decimal.getcontext().prec = 5


def other_locale() -> None:
    # It exists everywhere, and its name is another one; what it does is the same.
    locale.setlocale(locale.LC_TIME, "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8")


CASES: list[tuple[Callable[..., Any], tuple[Any, ...], Callable[[], object]]] = [
    (argv, (), other_arguments),
    (parsed, (), other_arguments),
    (hour, (), zone("Asia/Tokyo")),
    (hour_of, (0.0,), zone("America/New_York")),
    (stamp_of, (datetime.datetime(2020, 7, 1),), zone("Europe/Berlin")),  # noqa: DTZ001
    (third, (), other_precision),
    (ratio, (Decimal(1), Decimal(3)), other_precision),
    (shown, (np.array([1 / 3]),), lambda: np.set_printoptions(precision=3)),
    (shown, (TABLE,), lambda: pd.set_option("display.precision", 2)),
    (day, (1,), other_locale),
    (shown, (pl.DataFrame({"a": range(9)}),), lambda: pl.Config.set_tbl_rows(3)),
    (shown, (pl.DataFrame({"a": [1 / 3]}),), lambda: pl.Config.set_float_precision(2)),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_is_set_counts(number: int) -> None:
    function, arguments, set_another = CASES[number]
    task = offload.task(function)
    assert task(*arguments) == function(*arguments)
    assert offload.why(task, *arguments).hit
    set_another()
    why = offload.why(task, *arguments)
    assert not why.hit
    assert len(why.differences) == 1, why
    assert task(*arguments) == function(*arguments)
    assert offload.why(task, *arguments).hit


PROGRAM = """
import sys
import offload

@offload.task
def number():
    {body}

{run}
"""
WITH_CLICK = """
import sys
import click
import offload

@click.command()
@click.option("--number", default=1)
def main(number):
    print(number_of())

@offload.task
def number_of():
    return click.get_current_context().params["number"]

assert "argparse" not in sys.modules
main()
"""


def output(program: Path, *arguments: str) -> str:
    completed = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=program.parent)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


def test_the_command_line_counts_in_programs_without_argparse(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WITH_CLICK)
    assert output(program, str(program)) == "1"
    assert output(program, str(program), "--number", "4") == "4"


def test_the_options_of_the_interpreter_count(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    body = "return sys.flags.dev_mode, sys.flags.optimize, sys._xoptions.get('mode')"
    program.write_text(PROGRAM.format(body=body, run="print(number())"))
    assert output(program, str(program)) == "(False, 0, None)"
    assert output(program, "-X", "dev", str(program)) == "(True, 0, None)"
    assert output(program, "-O", str(program)) == "(False, 1, None)"
    assert output(program, "-X", "mode=fast", str(program)) == "(False, 0, 'fast')"


@pytest.mark.parametrize("value", ["1", ""])
def test_workers_run_what_does_not_ask_for_the_options_that_they_were_started_with(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", value)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(body="return 5", run="print(number.submit().result())"))
    assert output(program, str(program)) == "5"


def test_the_style_of_matplotlib_counts_where_it_is_reached(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    program = tmp_path / "program.py"
    colours = "matplotlib.style.use({'figure.dpi': 72, 'axes.prop_cycle': cycler.cycler('color', ['red', 'blue'])})"
    for style, expected in (
        ("", "100.0"),
        ("matplotlib.rcParams['figure.dpi'] = 50", "50.0"),
        ("matplotlib.use('agg')", "100.0"),
        (colours, "72.0"),
    ):
        run = f"import matplotlib.style, cycler\n{style}\nprint(number())"
        program.write_text(PROGRAM.format(body="return matplotlib.rcParams['figure.dpi']", run=run))
        assert output(program, str(program)) == expected
    run = f"import matplotlib.style, cycler\n{colours}\nif __name__ == '__main__': print(number.submit().result())"
    program.write_text(PROGRAM.format(body="return repr(matplotlib.rcParams['axes.prop_cycle'])", run=run))
    assert output(program, str(program)) == "cycler('color', ['red', 'blue'])"


def test_what_nobody_reaches_does_not_count() -> None:
    before: list[offload.Task[..., Any]] = [offload.task(day), offload.task(str.upper)]
    first = [one.identify(arguments, {}).transformation for one, arguments in zip(before, [(1,), ("a",)], strict=True)]
    other_arguments()
    zone("Asia/Tokyo")()
    other_precision()
    np.set_printoptions(precision=3)
    assert first == [
        one.identify(arguments, {}).transformation for one, arguments in zip(before, [(1,), ("a",)], strict=True)
    ]


def exact(digits: int) -> str:
    decimal.getcontext().prec = digits
    return str(Decimal(2).sqrt())


def failing() -> None:
    np.seterr(all="raise")
    raise ValueError


def test_what_a_call_sets_is_put_back_and_told() -> None:
    task = offload.task(exact)
    with pytest.warns(EffectWarning, match=r"it set the context of decimal, which is put back after the call"):
        assert task(5) == "1.4142"
    assert decimal.getcontext().prec == 28
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert task(6) == "1.41421"
    with pytest.raises(ValueError, match=r"^$"):
        offload.task(failing)()
    assert np.geterr()["divide"] == "warn"


def test_a_function_among_the_options_counts_by_its_code() -> None:
    task = offload.task(shown)
    found = set()
    for form in (None, lambda x: "a", lambda x: "b", lambda x: "a"):
        np.set_printoptions(formatter=None if form is None else {"float": form})
        found.add(task.identify((np.array([1.0]),), {}).transformation)
    np.set_printoptions(formatter=None)
    assert len(found) == 3


def test_they_are_shown() -> None:
    zone("Asia/Tokyo")()
    shown_parts = {part.name: part.value for part in offload.identity(hour).parts if part.kind == "setting"}
    assert shown_parts == {"time": "['Asia/Tokyo', 'JST', 'JST', -32400]"}


@pytest.mark.real
def test_workers_have_what_is_set_here() -> None:
    warm = offload.task(ratio).submit(Decimal(1), Decimal(7))
    assert warm.result(60) == ratio(Decimal(1), Decimal(7))
    for function, arguments, set_another in CASES:
        set_another()
        assert offload.task(function).submit(*arguments).result(60) == function(*arguments), function
    set_to((), LIBRARIES)
    zone("UTC")()
    for function, arguments, _ in CASES:
        assert offload.task(function).submit(*arguments).result(60) == function(*arguments), function
    sent = offload.task(exact).map([3, 4, 5])
    assert offload.gather(sent) == ["1.41", "1.414", "1.4142"]
    assert offload.task(third).submit().result(60) == third()


def test_verify_sets_what_was_set() -> None:
    from offload.registry.session import current as session
    from offload.verify.calls import Callers
    from offload.verify.verdicts import SAME

    other_precision()
    offload.task(third)()
    set_to((), LIBRARIES)
    (entry,) = session().database.nearest("python", f"{__name__}:third")
    callers = Callers(str(Path(os.environ["OFFLOAD_HOME"]) / "other"))
    try:
        verdict = callers.verify(session(), entry)
    finally:
        callers.close()
    assert verdict.outcome == SAME, verdict.reasons


def test_what_is_being_loaded_has_no_settings_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither here, where a call is made by what a library's module does while it is imported."""
    spec = ModuleSpec("mpmath", None)
    spec._initializing = True  # type: ignore[attr-defined]
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mpmath", module)
    assert current(["mpmath"]) == ()
    spec._initializing = False  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        current(["mpmath"])
