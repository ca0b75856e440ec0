"""Edits of what code is given from elsewhere: members put into libraries' classes, and by libraries into the project's.

And edits that only show where code asks for them: source text, line numbers, what a function wraps.
"""

from __future__ import annotations

from tests.identity.projects import case

CHANGES = [
    case(
        "accessor of a frame",
        "import pandas as pd\n@pd.api.extensions.register_dataframe_accessor('geo_a')\nclass Geo:\n"
        " def __init__(s, df): s.df = df\n def total(s): return 1\ndef f(x): return x.geo_a.total()",
        ("return 1", "return 2"),
    ),
    case(
        "namespace of a frame",
        "import polars as pl\n@pl.api.register_dataframe_namespace('geo_n')\nclass Geo:\n"
        " def __init__(s, df): s.df = df\n def total(s): return 1\ndef f(x): return x.geo_n.total()",
        ("return 1", "return 2"),
    ),
    case(
        "helper of a method put on a frame, elsewhere",
        "import more\ndef f(x): return x.total_()",
        ("more", "= 1", "= 2"),
        more="import pandas as pd\nK = 1\ndef g(df): return K\npd.DataFrame.total_ = g",
    ),
    case(
        "method put on a frame by setattr in a loop",
        "import pandas\ndef g(df): return 1\nfor n in ['sum_']: setattr(pandas.DataFrame, n, g)\n"
        "def f(x): return x.sum_()",
        ("return 1", "return 2"),
    ),
    case(
        "method put on a frame through a library's wrapper",
        "import functools, pandas\ndef g(df): return 1\nC = functools.partialmethod\n"
        "pandas.DataFrame.mean_ = C(g)\ndef f(x): return x.mean_()",
        ("return 1", "return 2"),
    ),
    case(
        "method put on a class of the standard library, asked for by name",
        "import shlex\nshlex.shlex.twice = lambda s: 1\ndef f(x): return getattr(x, 'twice')()",
        (": 1", ": 2"),
    ),
    case(
        "value put on a library's class",
        "import pandas\npandas.DataFrame.limit_ = 1\ndef f(x): return x.limit_",
        ("= 1", "= 2"),
    ),
    case("value put into a library's module", "import pandas as pd\npd.MY = 1\ndef f(x): return pd.MY", ("= 1", "= 2")),
    case(
        "value put into a library's module by another one",
        "import numpy, more\ndef f(x):\n from numpy import opts_\n return opts_['a']",
        ("more", ": 1", ": 2"),
        more="import numpy as np\ndef fill(): np.opts_ = {'a': 1}\nfill()",
    ),
    case("value put into sys", "import sys\nsys.mine = 1\ndef f(x): return sys.mine", ("= 1", "= 2")),
    case("value put into math", "import math\nsetattr(math, 'tau', 1)\ndef f(x): return math.tau", ("1)", "2)")),
    case(
        "value that a library's class uses",
        "import poplib\npoplib.POP3.encoding = 'utf-8'\ndef f(x): return poplib.POP3(x)",
        ("'utf-8'", "'ascii'"),
    ),
    case(
        "method that a library's class uses",
        "import ftplib\ndef g(s): return 1\nftplib.FTP.getwelcome = g\ndef f(x): return ftplib.FTP(x)",
        ("return 1", "return 2"),
    ),
    case(
        "property put into a library's class",
        "import string\nstring.Formatter.rate_p = property(lambda s: 1)\ndef f(x): return string.Formatter().rate_p",
        (": 1", ": 2"),
    ),
    case(
        "class method put into a library's class",
        "from textwrap import TextWrapper as T\nT.make_c = classmethod(lambda c: 1)\ndef f(x): return T.make_c()",
        (": 1", ": 2"),
    ),
    case(
        "static method put into a library's class",
        "import cmd as j\nj.Cmd.rate_s = staticmethod(lambda: 1)\ndef f(x): return j.Cmd.rate_s()",
        (": 1", ": 2"),
    ),
    case(
        "descriptor put into a library's class",
        "import sched\nclass D:\n def __get__(s, o, t): return 1\nsched.scheduler.rate_d = D()\n"
        "def f(x): return sched.scheduler().rate_d",
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
        "another method put on a frame",
        "import pandas\npandas.DataFrame.one_ = lambda s: 1\npandas.DataFrame.two_ = lambda s: 1\n"
        "def f(x): return pandas.concat([x.one_()])",
        ("two_ = lambda s: 1", "two_ = lambda s: 2"),
    ),
    case(
        "value put on a library's class, by another name",
        "import pandas\npandas.Series.other_ = 1\npandas.mine_ = 1\ndef f(x): return pandas.concat([x])",
        ("other_ = 1\npandas.mine_ = 1", "other_ = 2\npandas.mine_ = 2"),
    ),
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
