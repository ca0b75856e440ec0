"""Code of the project that a call loads itself: nobody would notice its edits, so nothing is recorded."""

from __future__ import annotations

from tests.compute.conftest import Script

MODEL = """
class Model:
    rate = 1

    def predict(self, x):
        return x * self.rate
"""
MAIN = """
import importlib, io, os, pickle, sys, warnings
import offload, model
import pandas as pd

warnings.simplefilter("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
WAYS = {
    "loads": lambda data: pickle.loads(data),
    "unpickler": lambda data: pickle.Unpickler(io.BytesIO(data)).load(),
    "pandas": lambda data: pd.read_pickle(io.BytesIO(data)),
}

@offload.task
def unpickled(data, way):
    print("ran unpickled", way)
    return WAYS[way](data).predict(3)

@offload.task
def known(data):
    print("ran known")
    assert model.Model
    return pickle.loads(data).predict(3)

@offload.task(depends_on=[model.Model])
def declared(data):
    print("ran declared")
    return pickle.loads(data).predict(3)

@offload.task
def appended(x):
    print("ran appended")
    sys.path.insert(0, os.path.join(HERE, "more"))
    import found_late
    return found_late.g(x)

@offload.task(depends_on=["computed names are known"])
def computed(x):
    print("ran computed")
    return importlib.import_module("_".join(["plug", "in"])).g(x)

@offload.task
def library(x):
    print("ran library")
    import xml.dom.minidom, tabnanny, scipy.fft
    return pickle.loads(pickle.dumps(pd.Series([x]))).sum()

DATA = b"cmodel\\nModel\\n)R."
print(*(unpickled(DATA, way) for way in WAYS), known(DATA), declared(DATA), appended(1), computed(1), library(1))
"""


def test_code_that_a_call_loads(script: Script) -> None:
    script.write("model.py", MODEL)
    script.write("plug_in.py", "def g(x): return x + 1\n")
    (script.path / "more").mkdir()
    script.write("more/found_late.py", "def g(x): return x + 2\n")

    def run() -> tuple[set[str], str]:
        *ran, values = script.output(MAIN).splitlines()
        return {line.removeprefix("ran ") for line in ran}, values

    uncounted = {"unpickled loads", "unpickled unpickler", "unpickled pandas", "appended", "computed"}
    assert run() == (uncounted | {"known", "declared", "library"}, "3 3 3 3 3 3 2 1")
    assert run() == (uncounted, "3 3 3 3 3 3 2 1")
    script.write("model.py", MODEL.replace("rate = 1", "rate = 10 # edited"))
    assert run() == (uncounted | {"known", "declared"}, "30 30 30 30 30 3 2 1")


def test_another_name_for_a_module_is_no_code_that_a_call_loads(script: Script) -> None:
    text = "import sys, offload\nassert 'multiprocessing' not in sys.modules\n@offload.task\n"
    text += "def f():\n    print('ran')\n    import multiprocessing\n    return multiprocessing.__name__\n"
    text += "print(f(), sys.modules.get('__mp_main__') is sys.modules['__main__'])\n"
    assert script.output(text).split("\n") == ["ran", "multiprocessing True", ""]
    assert script.output(text) == "multiprocessing False\n"


def test_it_is_told_with_the_cure(script: Script) -> None:
    script.write("model.py", MODEL)
    text = "import offload, pickle\n@offload.task\ndef f(data): return pickle.loads(data).rate\n"
    text += "f(b'cmodel\\nModel\\n)R.')\n"
    told = script.run(text).stderr
    assert "the result is not recorded: it unpickled model.Model, whose code does not count" in told
    assert "depends_on" in told


LOADED = """
import importlib, sys, warnings
import offload, plug_in, plug_out, plug_by_name

warnings.simplefilter("ignore")

def of(name):
    return importlib.import_module("_".join(["plug", name]))

@offload.task
def computed(name, x):
    print("ran computed", name)
    import plug_by_name
    return of(name).g(x) + plug_by_name.g(0)

@offload.task
def dunder(x):
    print("ran dunder")
    return __import__("".join(["plug", "_in"])).g(x)

@offload.task(depends_on=[plug_in])
def declared(x):
    print("ran declared")
    return of("in").g(x)

@offload.task
def library(x):
    print("ran library")
    return getattr(importlib.import_module("".join(["ma", "th"])), "floor")(x)

@offload.task
def named(x):
    print("ran named")
    import plug_by_name
    return plug_by_name.g(x)

print(computed("in", 1), computed("out", 1), dunder(1), declared(1), library(1.5), named(1))
"""


def test_modules_that_were_loaded_before_and_are_imported_by_computed_names(script: Script) -> None:
    for name, number in (("in", 1), ("out", 2), ("by_name", 3)):
        script.write(f"plug_{name}.py", f"def g(x): return x + {number}\n")

    def run() -> tuple[set[str], str]:
        *ran, values = script.output(LOADED).splitlines()
        return {line.removeprefix("ran ") for line in ran}, values

    uncounted = {"computed in", "computed out", "dunder"}
    assert run() == (uncounted | {"declared", "library", "named"}, "5 6 2 2 1 4")
    assert run() == (uncounted, "5 6 2 2 1 4")
    script.write("plug_in.py", "def g(x): return x + 10\n")
    assert run() == (uncounted | {"declared"}, "14 6 11 11 1 4")
