"""Edits of what code is given from elsewhere: members put into libraries' classes, and by libraries into the project's.

And edits that only show where code asks for them: source text, line numbers, what a function wraps.
"""

from __future__ import annotations

from tests.identity.projects import case

CHANGES = [
    case(
        "property put into a library's class",
        "import string\nstring.Formatter.rate = property(lambda s: 1)\ndef f(x): return string.Formatter().rate",
        (": 1", ": 2"),
    ),
    case(
        "class method put into a library's class",
        "from textwrap import TextWrapper as T\nT.make = classmethod(lambda c: 1)\ndef f(x): return T.make()",
        (": 1", ": 2"),
    ),
    case(
        "static method put into a library's class",
        "import cmd as j\nj.Cmd.rate = staticmethod(lambda: 1)\ndef f(x): return j.Cmd.rate()",
        (": 1", ": 2"),
    ),
    case(
        "descriptor put into a library's class",
        "import sched\nclass D:\n def __get__(s, o, t): return 1\nsched.scheduler.rate = D()\n"
        "def f(x): return sched.scheduler().rate",
        ("return 1", "return 2"),
    ),
    case(
        "underscored name of a module that is passed",
        "import config\ndef g(m): return m.__version__\ndef f(x): return g(config)",
        ("config", "1", "2"),
        config="__version__ = '1'",
    ),
    case(
        "module with __getattr__ that is passed",
        "import config\ndef g(m): return m.rate\ndef f(x): return g(config)",
        ("config", "return 1", "return 2"),
        config="def __getattr__(name): return 1",
    ),
    case(
        "annotations of a module that is passed",
        "import config\ndef g(m): return m.__annotations__\ndef f(x): return g(config)",
        ("config", "int", "str"),
        config="rate: int = 1",
    ),
    case("source", "import inspect\ndef g(): pass # 1\ndef f(x): return inspect.getsource(g)", ("# 1", "# 2")),
    case(
        "source with lines",
        "from inspect import getsourcelines\ndef g(): pass\ndef f(x): return getsourcelines(g)",
        ("def g", "\ndef g"),
    ),
    case("line number", "def g(): pass\ndef f(x): return g.__code__.co_firstlineno", ("def g", "\ndef g")),
    case("constants", "def g():\n 'one'\ndef f(x): return g.__code__.co_consts", ("one", "two")),
    case(
        "line of an error",
        "def f(x):\n try: 1 / 0\n except ZeroDivisionError as e: return e.__traceback__.tb_lineno",
        ("def f", "\ndef f"),
    ),
    case(
        "inspect.unwrap",
        "import inspect, functools\ndef h(): return 1\n@functools.wraps(h)\ndef g(): pass\n"
        "def f(x): return inspect.unwrap(g)()",
        ("return 1", "return 2"),
    ),
    case(
        "signature of what is wrapped",
        "import inspect, functools\ndef h(a): pass\n@functools.wraps(h)\ndef g(): pass\n"
        "def f(x): return str(inspect.signature(g))",
        ("h(a)", "h(b)"),
    ),
    case(
        "value of each thread, with a class of its own",
        "import threading\nclass L(threading.local):\n rate = 1\n def get(s): return s.k\nl = L()\nl.k = 1\n"
        "def f(x): return l.get()",
        ("l.k = 1", "l.k = 2"),
    ),
    case(
        "method of a class for values of each thread",
        "import threading\nclass L(threading.local):\n def get(s): return 1\nl = L()\ndef f(x): return l.get()",
        ("return 1", "return 2"),
    ),
    case(
        "objects in a set that know each other",
        "class A:\n def __init__(s, k): s.k, s.all = k, ALL\nALL = set()\nfor k in range(5): ALL.add(A(k))\n"
        "def f(x): return ALL",
        ("range(5)", "range(1, 6)"),
    ),
    case(
        "functions and classes in a set",
        "def a(): return 1\ndef b(): return 1\ndef c(): return 2\nclass D: pass\nclass E: pass\nclass F: pass\n"
        "s = {a, b, c, D, E, F, lambda: 3, lambda: 4}\ndef f(x): return s",
        (": 4", ": 5"),
    ),
    case(
        "weak method",
        "import weakref\nclass A:\n def m(s): return 1\na = A()\nr = weakref.WeakMethod(a.m)\ndef f(x): return r()()",
        ("return 1", "return 2"),
    ),
    *(
        case(
            f"wrapt, {what}",
            "import wrapt\n@wrapt.decorator\ndef d(g, i, a, k): return g(*a) + 1\n@d\ndef g(x): return x * 2\n"
            "def f(x): return g(x)",
            edit,
        )
        for what, edit in {"the wrapper": ("+ 1", "+ 2"), "the wrapped": ("* 2", "* 3")}.items()
    ),
    *(
        case(
            f"pydantic, {what}",
            "from pydantic import BaseModel, Field, field_validator\nclass B(BaseModel): b: int = 1\n"
            "class A(BaseModel):\n n: int = Field(1, gt=0)\n b: list[B] = [B()]\n"
            " @field_validator('n')\n @classmethod\n def check(cls, n): return n + 1\ndef f(x): return A(n=x)",
            edit,
        )
        for what, edit in {
            "default": ("Field(1", "Field(2"),
            "type": ("n: int", "n: float"),
            "constraint": ("gt=0", "gt=1"),
            "validator": ("n + 1", "n + 2"),
            "type of a part": ("b: int", "b: float"),
        }.items()
    ),
]

KEEPS = [
    case(
        "pydantic model in use",
        "from pydantic import BaseModel, field_validator\nclass A(BaseModel):\n n: int = 1\n"
        " @field_validator('n')\n @classmethod\n def check(cls, n): return n\ndef f(x): return A(n=x)",
        ("def f", "a = A()\na.n = 2\na.model_dump()\nA.model_json_schema()\ndef f"),
    ),
    case(
        "instance of a protocol's class made before",
        "from typing import Protocol\nclass P(Protocol):\n def m(s): return 1\nclass A(P): pass\n"
        "def f(x): return A().m()",
        ("def f", "A()\ndef f"),
    ),
    case(
        "members of a flag combined before",
        "from enum import Flag\nclass F(Flag):\n A = 1\n B = 2\ndef f(x): return F.A | F.B",
        ("def f", "~F.A, F.A | F.B, F(3)\ndef f"),
    ),
]
