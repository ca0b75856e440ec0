"""Edits of small projects: those that must give a function another identity, and those that must not."""

from __future__ import annotations

from tests.identity import named, patched, tricks
from tests.identity.projects import case

HELPER = "from helpers import g\ndef f(x):\n    return g(x)\n"

CHANGES = [
    case("body", "def f(x): return x + 1", ("x + 1", "x + 2")),
    case("operator", "def f(x): return x + 1", ("x + 1", "x - 1")),
    case("kind of constant", "def f(x): return x + 1", ("x + 1", "x + 1.0")),
    case("sign of zero", "def f(x): return x * 0.0", ("0.0", "-0.0")),
    case("comparison", "def f(x): return x < 1", ("<", "<=")),
    case("name of a builtin", "def f(x): return min(x)", ("min", "max")),
    case("attribute", "def f(x): return x.real", ("real", "imag")),
    case("a builtin made global", "def f(x): return len(x)", ("def f", "def len(x): return 0\ndef f")),
    case("default", "def f(x, y=1): return x + y", ("y=1", "y=2")),
    case("keyword default", "def f(x, *, y=1): return x + y", ("y=1", "y=2")),
    case("default of a helper", "def g(x, y=1): return x\ndef f(x): return g(x)", ("y=1", "y=2")),
    case("default object", "class A: n = 1\ndef f(x, y=A()): return y.n", ("n = 1", "n = 2")),
    case("parameter name", "def f(x, y): return x", ("x, y", "y, x")),
    case("except clause", "def f(x):\n try: return 1/x\n except ValueError: return 0", ("ValueError", "KeyError")),
    case(
        "order of handlers",
        "def f(x):\n try:\n  a(x); b(x)\n except Exception: return 0\ndef a(x): 0\ndef b(x): 0",
        ("a(x); b(x)\n except Exception: return 0", "a(x)\n except Exception: return 0\n b(x)"),
    ),
    case("closure variable", "def make(k):\n def f(x): return x + k\n return f\nf = make(1)", ("make(1)", "make(2)")),
    case(
        "closure in a closure",
        "def make(k):\n def f(x): return (lambda: k)()\n return f\nf = make(1)",
        ("make(1)", "make(2)"),
    ),
    case("global value", "K = 1\ndef f(x): return x + K", ("K = 1", "K = 2")),
    case("global list", "K = [1]\ndef f(x): return x + K[0]", ("[1]", "[2]")),
    case("global array", "import numpy\nK = numpy.arange(3)\ndef f(x): return x + K", ("(3)", "(4)")),
    case("global regular expression", "import re\nK = re.compile('a')\ndef f(x): return K.match(x)", ("'a'", "'b'")),
    case("global of a nested function", "K = 1\ndef f(x):\n def g(): return K\n return g()", ("K = 1", "K = 2")),
    case("global in a comprehension", "K = 1\ndef f(x): return [i + K for i in x]", ("K = 1", "K = 2")),
    case(
        "global in a generator in a lambda", "K = 1\ndef f(x): return (lambda: sum(K for i in x))()", ("K = 1", "K = 2")
    ),
    case("global that appears", "def f(x):\n try: return K\n except NameError: return 0", ("def f", "K = 3\ndef f")),
    case("global read by eval of a name", "K = 1\ndef f(x): return [K][0]", ("K = 1", "K = True")),
    case(
        "attribute of a module",
        "import config\ndef f(x): return x * config.RATE",
        ("config", "1", "2"),
        config="RATE = 1",
    ),
    case(
        "attribute two modules away",
        "import config\ndef f(x): return x * config.inner.RATE",
        ("inner", "1", "2"),
        config="import inner",
        inner="RATE = 1",
    ),
    case(
        "module by another name",
        "import config\nc = config\ndef f(x): return c.RATE",
        ("config", "1", "2"),
        config="RATE = 1",
    ),
    case(
        "computed attribute of a module",
        "import config\ndef f(x): return getattr(config, 'RA' + 'TE')",
        ("config", "1", "2"),
        config="RATE = 1",
    ),
    case("attribute of a class", "class C: RATE = 1\ndef f(x): return x * C.RATE", ("RATE = 1", "RATE = 2")),
    case("attribute of an instance", "class C: pass\nc = C()\nc.rate = 1\ndef f(x): return x * c.rate", ("= 1", "= 2")),
    case("attribute of a function", "def f(x): return x * f.rate\nf.rate = 1", ("rate = 1", "rate = 2")),
    case(
        "simple namespace",
        "from types import SimpleNamespace as N\nc = N(rate=1)\ndef f(x): return c.rate",
        ("=1", "=2"),
    ),
    case(
        "read-only mapping",
        "from types import MappingProxyType as M\nc = M({'rate': 1})\ndef f(x): return c['rate']",
        ("1}", "2}"),
    ),
    case("helper", "def g(x): return x + 1\ndef f(x): return g(x)", ("x + 1", "x + 2")),
    case("helper in a module", HELPER, ("helpers", "+ 1", "+ 2"), helpers="def g(x): return x + 1"),
    case(
        "helper two calls away",
        HELPER,
        ("more", "+ 1", "+ 2"),
        helpers="import more\ndef g(x): return more.h(x)",
        more="def h(x): return x + 1",
    ),
    case(
        "global of a helper two calls away",
        HELPER,
        ("more", "K = 1", "K = 2"),
        helpers="import more\ndef g(x): return more.h(x)",
        more="K = 1\ndef h(x): return x + K",
    ),
    case(
        "alias in a from-import",
        "from helpers import g as z\ndef f(x): return z(x)",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "star import",
        "from helpers import *\ndef f(x): return g(x)",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "re-export of a package",
        "from pkg import g\ndef f(x): return g(x)",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__init="from pkg.inner import g",
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "re-export, through the package",
        "import pkg\ndef f(x): return pkg.g(x)",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__init="from .inner import g",
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "submodule",
        "import pkg.inner\ndef f(x): return pkg.inner.g(x)",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__init="",
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "namespace package",
        "import pkg.inner\ndef f(x): return pkg.inner.g(x)",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "module-level alias",
        "import helpers\nh = helpers.g\ndef f(x): return h(x)",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "conditional definition",
        "import sys\nif sys: g = lambda x: x + 1\nelse: g = None\ndef f(x): return g(x)",
        ("+ 1", "+ 2"),
    ),
    case(
        "dispatch table",
        "def a(x): return x + 1\ndef b(x): return x\nT = {'a': a, 'b': b}\ndef f(x): return T[x](x)",
        ("+ 1", "+ 2"),
    ),
    case(
        "list of methods",
        "class A:\n def m(self): return 1\nT = [A().m]\ndef f(x): return T[0]()",
        ("return 1", "return 2"),
    ),
    case("lambda", "f = lambda x: x + 1", ("+ 1", "+ 2")),
    case("lambda as key", "def f(x): return sorted(x, key=lambda i: i)", ("i: i", "i: -i")),
    case("nested function", "def f(x):\n def g(): return 1\n return g()", ("return 1", "return 2")),
    case("recursion", "def f(x): return 1 if x < 1 else x * f(x - 1)", ("1 if", "2 if")),
    case("mutual recursion", "def f(x): return g(x)\ndef g(x): return f(x - 1) if x else 1", ("else 1", "else 2")),
    case(
        "partial: argument", "from functools import partial\ndef g(x, y): return x\nf = partial(g, 1)", ("g, 1", "g, 2")
    ),
    case(
        "partial: keyword", "from functools import partial\ndef g(x, y): return x\nf = partial(g, y=1)", ("y=1", "y=2")
    ),
    case(
        "partial: function",
        "from functools import partial\ndef g(x, y): return x + 1\nf = partial(g, y=1)",
        ("+ 1", "+ 2"),
    ),
    case(
        "partial as a global",
        "from functools import partial\ndef g(x, y): return x\nh = partial(g, 1)\ndef f(x): return h(x)",
        ("g, 1", "g, 2"),
    ),
    case(
        "defaults that msgspec makes anew",
        "import msgspec as m\ndef made(): return [1]\nclass A(m.Struct):\n b: list = m.field(default_factory=made)\n"
        " c: list = []\ndef f(x): return A().b",
        ("[1]", "[2]"),
        ("factory=made", "factory=list"),
    ),
    case(
        "registered with an abstract base class, of a library",
        "from abc import ABC\nclass B(ABC): pass\nB.register(int)\ndef f(x): return isinstance(3, B)",
        ("(int)", "(float)"),
        ("B.register(float)\n", ""),
    ),
    case(
        "lru_cache",
        "from functools import lru_cache\n@lru_cache\ndef g(x): return x + 1\ndef f(x): return g(x)",
        ("+ 1", "+ 2"),
    ),
    case(
        "lru_cache, outermost",
        "from functools import lru_cache\n@lru_cache(maxsize=3)\ndef f(x): return x + 1",
        ("+ 1", "+ 2"),
    ),
    case(
        "cache of a method",
        "from functools import cache\nclass A:\n @cache\n def m(self): return 1\ndef f(x): return A().m()",
        ("return 1", "return 2"),
    ),
    case(
        "singledispatch: default",
        """
        from functools import singledispatch
        @singledispatch
        def g(x): return 1
        @g.register
        def _(x: int): return 2
        def f(x): return g(x)""",
        ("return 1", "return 3"),
    ),
    case(
        "singledispatch: implementation",
        """
        from functools import singledispatch
        @singledispatch
        def g(x): return 1
        @g.register
        def _(x: int): return 2
        def f(x): return g(x)""",
        ("return 2", "return 3"),
    ),
    case(
        "singledispatch: type",
        """
        from functools import singledispatch
        @singledispatch
        def g(x): return 1
        @g.register
        def _(x: int): return 2
        def f(x): return g(x)""",
        ("x: int", "x: float"),
    ),
    case(
        "singledispatchmethod",
        """
        from functools import singledispatchmethod
        class A:
            @singledispatchmethod
            def m(self, x): return 1
            @m.register
            def _(self, x: int): return 2
        def f(x): return A().m(x)""",
        ("return 2", "return 3"),
    ),
    case(
        "partialmethod",
        """
        from functools import partialmethod
        class A:
            def m(self, x): return x
            n = partialmethod(m, 1)
        def f(x): return A().n()""",
        ("(m, 1)", "(m, 2)"),
    ),
    case(
        "decorator",
        """
        from functools import wraps
        def twice(g):
            @wraps(g)
            def wrapper(x): return 2 * g(x)
            return wrapper
        @twice
        def f(x): return x""",
        ("2 *", "3 *"),
    ),
    case(
        "decorated function",
        """
        from functools import wraps
        def twice(g):
            @wraps(g)
            def wrapper(x): return 2 * g(x)
            return wrapper
        @twice
        def f(x): return x + 1""",
        ("+ 1", "+ 2"),
    ),
    case(
        "decorator with an argument",
        """
        def times(n):
            def decorate(g):
                return lambda x: n * g(x)
            return decorate
        @times(2)
        def f(x): return x""",
        ("(2)", "(3)"),
    ),
    case(
        "decorator class: argument",
        """
        from functools import update_wrapper
        class Times:
            def __init__(self, g, n): self.g, self.n = g, n; update_wrapper(self, g)
            def __call__(self, x): return self.n * self.g(x)
        def g(x): return x
        g = Times(g, 2)
        def f(x): return g(x)""",
        ("(g, 2)", "(g, 3)"),
    ),
    case(
        "decorator class: call",
        """
        from functools import update_wrapper
        class Times:
            def __init__(self, g): self.g = g; update_wrapper(self, g)
            def __call__(self, x): return 2 * self.g(x)
        @Times
        def g(x): return x
        def f(x): return g(x)""",
        ("2 *", "3 *"),
    ),
    case(
        "context manager",
        """
        from contextlib import contextmanager
        @contextmanager
        def g(): yield 1
        def f(x):
            with g() as y: return y""",
        ("yield 1", "yield 2"),
    ),
    case(
        "a library's nameless functions",
        "import helpers\ndef f(x): return helpers.pick(x)",
        ("helpers", "'a'", "'b'"),
        helpers="import operator\npick = operator.itemgetter('a')",
    ),
    case(
        "callable instance: state",
        "class A:\n def __init__(self, k): self.k = k\n def __call__(self, x): return x + self.k\nf = A(1)",
        ("A(1)", "A(2)"),
    ),
    case("callable instance: code", "class A:\n def __call__(self, x): return x + 1\nf = A()", ("+ 1", "+ 2")),
    case("bound method", "class A:\n k = 1\n def m(self, x): return x + self.k\nf = A().m", ("k = 1", "k = 2")),
    case("method", "class A:\n def m(self): return 1\ndef f(x): return A().m()", ("return 1", "return 2")),
    case(
        "base class",
        "class B:\n def m(self): return 1\nclass A(B): pass\ndef f(x): return A().m()",
        ("return 1", "return 2"),
    ),
    case(
        "base class in a module",
        "from base import B\nclass A(B): pass\ndef f(x): return A().m()",
        ("base", "1", "2"),
        base="class B:\n def m(self): return 1",
    ),
    case(
        "order of bases", "class B: n = 1\nclass C: n = 2\nclass A(B, C): pass\ndef f(x): return A.n", ("B, C", "C, B")
    ),
    case(
        "super",
        "class B:\n def m(self): return 1\nclass A(B):\n def m(self): return super().m()\ndef f(x): return A().m()",
        ("return 1", "return 2"),
    ),
    case(
        "metaclass",
        "class M(type):\n def __call__(cls): return 1\nclass A(metaclass=M): pass\ndef f(x): return A()",
        ("return 1", "return 2"),
    ),
    case("property", "class A:\n @property\n def m(self): return 1\ndef f(x): return A().m", ("return 1", "return 2")),
    case(
        "setter",
        "class A:\n @property\n def m(self): 0\n @m.setter\n def m(self, v): self.v = 1\ndef f(x): A().m = 2",
        ("v = 1", "v = 2"),
    ),
    case(
        "descriptor",
        "class D:\n def __get__(self, i, o): return 1\nclass A: d = D()\ndef f(x): return A().d",
        ("return 1", "return 2"),
    ),
    case(
        "state of a descriptor",
        "class D:\n def __init__(self, k): self.k = k\n def __get__(self, i, o): return self.k\n"
        "class A: d = D(1)\ndef f(x): return A().d",
        ("D(1)", "D(2)"),
    ),
    case(
        "cached_property",
        "from functools import cached_property\nclass A:\n @cached_property\n def m(self): return 1\n"
        "def f(x): return A().m",
        ("return 1", "return 2"),
    ),
    case(
        "staticmethod", "class A:\n @staticmethod\n def m(): return 1\ndef f(x): return A.m()", ("return 1", "return 2")
    ),
    case(
        "classmethod",
        "class A:\n @classmethod\n def m(cls): return 1\ndef f(x): return A.m()",
        ("return 1", "return 2"),
    ),
    case(
        "class from a factory",
        "def make(k):\n class A:\n  def m(self): return k\n return A\nA = make(1)\ndef f(x): return A().m()",
        ("make(1)", "make(2)"),
    ),
    case("slots", "class A: __slots__ = ('a',)\ndef f(x): return A()", ("'a',", "'a', 'b'")),
    case(
        "dataclass: default",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n n: int = 1\ndef f(x): return A().n",
        ("= 1", "= 2"),
    ),
    case(
        "dataclass: factory",
        "from dataclasses import dataclass, field\n@dataclass\n"
        "class A:\n n: list = field(default_factory=lambda: [1])\n"
        "def f(x): return A().n",
        ("[1]", "[2]"),
    ),
    case(
        "dataclass: flag",
        "from dataclasses import dataclass\n@dataclass(order=False)\nclass A:\n n: int = 1\ndef f(x): return A()",
        ("order=False", "order=True"),
    ),
    case(
        "dataclass: field",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n n: int = 1\ndef f(x): return A()",
        ("= 1", "= 1\n m: int = 1"),
    ),
    case(
        "dataclass: method",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n n: int = 1\n def m(self): return 1\n"
        "def f(x): return A().m()",
        ("return 1", "return 2"),
    ),
    case(
        "make_dataclass",
        "from dataclasses import make_dataclass, field\nA = make_dataclass('A', [('n', int, field(default=1))])\n"
        "def f(x): return A().n",
        ("default=1", "default=2"),
    ),
    case("attrs", "import attrs\n@attrs.define\nclass A:\n n: int = 1\ndef f(x): return A().n", ("= 1", "= 2")),
    case(
        "namedtuple",
        "from collections import namedtuple\nA = namedtuple('A', 'a b')\ndef f(x): return A(1, 2).a",
        ("a b", "b a"),
    ),
    case(
        "named tuple's default",
        "from typing import NamedTuple\nclass A(NamedTuple):\n n: int = 1\ndef f(x): return A().n",
        ("= 1", "= 2"),
    ),
    case(
        "enum: value",
        "from enum import Enum\nclass E(Enum):\n A = 1\n B = 5\ndef f(x): return E(x)",
        ("A = 1", "A = 2"),
    ),
    case("enum: name", "from enum import Enum\nclass E(Enum):\n A = 1\ndef f(x): return E(x)", ("A = 1", "C = 1")),
    case(
        "enum: method",
        "from enum import Enum\nclass E(Enum):\n A = 1\n def m(self): return 1\ndef f(x): return E.A.m()",
        ("return 1", "return 2"),
    ),
    case("enum: functional", "from enum import Enum\nE = Enum('E', 'A B')\ndef f(x): return E(1)", ("A B", "B A")),
    case(
        "import inside",
        "def f(x):\n import helpers\n return helpers.g(x)",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "import inside, as",
        "def f(x):\n import helpers as h\n return h.g(x)",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "import inside, dotted",
        "def f(x):\n import pkg.inner\n return pkg.inner.g(x)",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__init="",
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "import inside, dotted, as",
        "def f(x):\n import pkg.inner as h\n return h.g(x)",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__init="",
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "import inside, three deep, as",
        "def f(x):\n import pkg.sub.inner as h\n return h.g(x)",
        ("pkg__sub/inner", "+ 1", "+ 2"),
        **{"pkg__init": "", "pkg__sub/inner": "def g(x): return x + 1"},
    ),
    case(
        "from-import inside",
        "def f(x):\n from helpers import g\n return g(x)",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "from-import inside, as",
        "def f(x):\n from helpers import a, g as z\n return z(x)",
        ("helpers", "+ 1", "+ 2"),
        helpers="a = 0\ndef g(x): return x + 1",
    ),
    case(
        "from-import of a submodule inside",
        "def f(x):\n from pkg import inner\n return inner.g(x)",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__init="",
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "relative import inside",
        "from pkg.outer import f",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__init="",
        pkg__outer="def f(x):\n from .inner import g\n return g(x)",
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "relative import of a module inside",
        "from pkg.outer import f",
        ("pkg__inner", "+ 1", "+ 2"),
        pkg__init="",
        pkg__outer="def f(x):\n from . import inner\n return inner.g(x)",
        pkg__inner="def g(x): return x + 1",
    ),
    case(
        "import inside, for a nested function",
        "def f(x):\n import helpers\n return [helpers.g(i) for i in x]",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "import inside, after the nested function",
        "def f(x):\n def k(): return h.g(x)\n import helpers as h\n return k()",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "import inside a nested class",
        "def f(x):\n class A:\n  import helpers\n  y = helpers.g(1)\n return A.y",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "import inside, passed on",
        "def f(x):\n import helpers\n return apply(helpers, x)\ndef apply(m, x): return m.g(x)",
        ("helpers", "+ 1", "+ 2"),
        helpers="def g(x): return x + 1",
    ),
    case(
        "first of two imports",
        "def f(x):\n try: import one as m\n except ImportError: import two as m\n return m.g(x)",
        ("one", "+ 1", "+ 2"),
        one="def g(x): return x + 1",
        two="def g(x): return x",
    ),
    case(
        "second of two imports",
        "def f(x):\n try: import missing_one as m\n except ImportError: import two as m\n return m.g(x)",
        ("two", "+ 1", "+ 2"),
        two="def g(x): return x + 1",
    ),
    case(
        "use above its import, in a loop",
        "def f(x):\n m = None\n for y in x, x:\n  if m: return m.g(y)\n  import two as m",
        ("two", "+ 1", "+ 2"),
        two="def g(x): return x + 1",
    ),
    case(
        "import that fails, then does not",
        "def f(x):\n try:\n  from helpers import g\n except ImportError:\n  return 0\n return g(x)",
        ("helpers", "pass", "def g(x): return 1"),
        helpers="pass",
    ),
    case(
        "conditional import",
        "def f(x):\n if x: import one as m\n else: import two as m\n return m.g(x)",
        ("one", "+ 1", "+ 2"),
        one="def g(x): return x + 1",
        two="def g(x): return x",
    ),
    case(
        "import in a helper",
        "def g(x):\n from more import h\n return h(x)\ndef f(x): return g(x)",
        ("more", "+ 1", "+ 2"),
        more="def h(x): return x + 1",
    ),
    case("annotation that is read", "class A: n: int\ndef f(x): return A.__annotations__", (": int", ": float")),
    case(
        "annotation that a helper reads",
        "import typing\nclass A: n: int\ndef g(c): return typing.get_type_hints(c)\ndef f(x): return g(A)",
        (": int", ": float"),
    ),
    case(
        "annotation that a library makes a field of",
        "import msgspec\nclass A(msgspec.Struct): n: int\ndef f(x): return msgspec.convert(x, A)",
        (": int", ": float"),
    ),
    case("async function", "async def g(x): return x + 1\nasync def f(x): return await g(x)", ("+ 1", "+ 2")),
    case("generator helper", "def g(x):\n yield x + 1\ndef f(x): return list(g(x))", ("+ 1", "+ 2")),
    case("generator or not", "def g(x):\n yield x\ndef f(x): return g(x)", ("yield x", "return x")),
    case(
        "offload.task as a helper",
        "import offload\n@offload.task\ndef g(x): return x + 1\ndef f(x): return g(x)",
        ("+ 1", "+ 2"),
    ),
    case(
        "function given to a library",
        "import functools\nadd = lambda a, b: a + b\ndef f(x): return functools.reduce(add, x)",
        ("a + b", "a - b"),
    ),
    case(
        "a library's wrapper of a helper",
        "import numpy\n@numpy.vectorize\ndef g(x): return x + 1\ndef f(x): return g(x)",
        ("+ 1", "+ 2"),
    ),
    case(
        "a library's object that holds a helper",
        "from sklearn.preprocessing import FunctionTransformer as F\ndef g(x): return x + 1\n"
        "t = F(g)\ndef f(x): return t.transform(x)",
        ("+ 1", "+ 2"),
    ),
]

CHANGES += [
    case(
        "toolz.curry",
        "import toolz\n@toolz.curry\ndef g(a, b): return a + b\ndef f(x): return g(1)(x)",
        ("a + b", "a - b"),
    ),
    case(
        "attrs: method of a frozen class",
        "import attrs\n@attrs.frozen\nclass A:\n n: int = 1\n def m(self): return 1\ndef f(x): return A().m()",
        ("return 1", "return 2"),
    ),
    case(
        "registry of subclasses",
        "class B:\n subs = []\n def __init_subclass__(cls): B.subs.append(cls)\nclass A(B):\n"
        " def m(self): return 1\ndef f(x): return B.subs[0]().m()",
        ("return 1", "return 2"),
    ),
    case(
        "an object that is pickled by its name",
        "class A:\n def __init__(self, k): self.k = k\n def __reduce__(self): return 'a'\na = A(1)\n"
        "def f(x): return a.k",
        ("A(1)", "A(2)"),
    ),
    case(
        "class of an object that is pickled by its name",
        "class A:\n def m(self): return 1\n def __reduce__(self): return 'a'\na = A()\ndef f(x): return a.m()",
        ("return 1", "return 2"),
    ),
    case(
        "an object with a lock and a logger",
        "import threading, logging\nclass A:\n"
        " def __init__(self, k): self.k, self.lock, self.log = k, "
        "threading.Condition(), logging.getLogger('a')\na = A(1)\ndef f(x): return a.k",
        ("A(1)", "A(2)"),
    ),
    case(
        "abstract property through super",
        "from abc import ABC, abstractmethod\nclass B(ABC):\n @property\n @abstractmethod\n"
        " def m(self): return 1\nclass A(B):\n @property\n def m(self): return super().m\ndef f(x): return A().m",
        ("return 1", "return 2"),
    ),
    case(
        "generic class",
        "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass P(Generic[T]):\n def m(self): return 1\n"
        "def f(x): return P[int]().m()",
        ("return 1", "return 2"),
    ),
    case(
        "module-level __getattr__",
        "import conf\ndef f(x): return conf.rate",
        ("conf", "return 1", "return 2"),
        conf="def __getattr__(n):\n if n != 'rate': raise AttributeError(n)\n return 1",
    ),
    case(
        "estimators in a pipeline",
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler as S, MinMaxScaler as M\np = make_pipeline(S())\n"
        "def f(x): return p.fit(x)",
        ("(S())", "(M())"),
    ),
]

CHANGES += tricks.CHANGES + patched.CHANGES + named.CHANGES

KEEPS = [
    case("comment", "def f(x): return x", ("return x", "return x  # as it is")),
    case("blank lines", "def f(x):\n y = x\n return y", ("y = x\n", "\n\n\n y = x\n\n\n"), ("def f", "\n\n\ndef f")),
    case("formatting", "def f(x, y): return (x + y) * 2", ("(x + y) * 2", "((\n  x\n  +   y) *\n\n  2)")),
    case(
        "formatting of a loop",
        "def f(x):\n while True:\n  if x: break\n  x += 1\n return x",
        ("while True:\n  if x: break\n", "while True:\n\n\n  # wait\n  if x:\n\n   break\n"),
    ),
    case("docstring added", "def f(x):\n return 'a', x", ("def f(x):\n", "def f(x):\n '''What it does.'''\n")),
    case("docstring changed", "def f(x):\n 'Old.'\n return 'a', x", ("'Old.'", "'New.'")),
    case(
        "docstring that is assigned",
        "def g(x):\n 'Old.'\n return x\ndef f(x):\n g.__doc__ = 'a'\n return x",
        ("'Old.'", "'New.'"),
    ),
    case("docstring removed", "def f(x):\n 'Old.'\n return 'a', x", ("'Old.'\n", "\n")),
    case("docstring of a helper", "def g(x):\n 'Old.'\n return x\ndef f(x): return g(x)", ("'Old.'\n", "\n")),
    case("docstring of a class", "class A:\n 'Old.'\n n = 1\ndef f(x): return A.n", ("'Old.'\n", "\n")),
    case(
        "docstring of a method",
        "class A:\n def m(self):\n  'Old.'\n  return 1\ndef f(x): return A().m()",
        ("'Old.'\n", "\n"),
    ),
    case(
        "docstring of a property",
        "class A:\n @property\n def m(self):\n  'Old.'\n  return 1\ndef f(x): return A().m",
        ("Old.", "New."),
    ),
    case("docstring of a module", "def f(x): return x", ("def f", "'''About f.'''\ndef f")),
    case(
        "docstring of a helper's module",
        "import helpers\ndef f(x): return helpers.g(x)",
        ("helpers", "Old", "New"),
        helpers="'Old'\ndef g(x): return x",
    ),
    case(
        "docstring of a nested function", "def f(x):\n def g():\n  'Old.'\n  return x\n return g()", ("'Old.'\n", "\n")
    ),
    case(
        "docstring of a nested class changed", "def f(x):\n class A:\n  'Old.'\n  n = 1\n return A.n", ("Old.", "New.")
    ),
    case(
        "docstring of a nested class removed",
        "def f(x):\n class A:\n  'Old.'\n  n = 1\n  for i in range(3): n += i\n return A.n",
        ("'Old.'\n", "\n"),
    ),
    case(
        "docstring of a dataclass",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n n: int = 1\ndef f(x): return A()",
        ("class A:\n", "class A:\n 'A.'\n"),
    ),
    case(
        "docstring of a decorated helper",
        "import functools\n@functools.cache\ndef g(x):\n 'Old.'\n return x\ndef f(x): return g(x)",
        ("'Old.'", "'New.'"),
    ),
    case(
        "docstring of a wrapped helper",
        """
        from functools import update_wrapper
        class Twice:
            def __init__(self, g): self.g = g; update_wrapper(self, g)
            def __call__(self, x): return 2 * self.g(x)
        @Twice
        def g(x):
            'Old.'
            return x
        def f(x): return g(x)""",
        ("Old.", "New."),
    ),
    case("annotation", "def f(x): return x", ("f(x)", "f(x: int) -> float")),
    case("annotation of a local variable", "def f(x):\n y = x\n return y", ("y = x", "y: float = x")),
    case(
        "annotation in a class",
        "class A:\n def m(self, x): return x\ndef f(x): return A().m(x)",
        ("self, x", "self, x: int"),
    ),
    case("annotation of a class variable", "class A:\n n: int = 1\ndef f(x): return A.n", (": int", ": float")),
    case(
        "annotation of a dataclass field",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n n: int = 1\ndef f(x): return A()",
        (": int", ": float"),
    ),
    case(
        "annotations become strings", "def f(x: int): return x", ("def f", "from __future__ import annotations\ndef f")
    ),
    case(
        "order of definitions",
        "def g(x): return x + 1\ndef h(x): return x + 2\ndef f(x): return g(x) * h(x)",
        ("def g(x): return x + 1\n", ""),
        ("def f", "def g(x): return x + 1\ndef f"),
    ),
    case(
        "helper below",
        "def g(x): return x + 1\ndef f(x): return g(x)",
        ("def g(x): return x + 1\n", ""),
        ("return g(x)", "return g(x)\ndef g(x): return x + 1"),
    ),
    case(
        "order of methods",
        "class A:\n def a(self): return 1\n def b(self): return 2\ndef f(x): return A().a() + A().b()",
        (" def a(self): return 1\n", ""),
        (" def b(self): return 2\n", " def b(self): return 2\n def a(self): return 1\n"),
    ),
    case(
        "order of registration",
        """
        from functools import singledispatch
        @singledispatch
        def g(x): return 1
        g.register(int, lambda x: 2)
        g.register(str, lambda x: 3)
        def f(x): return g(x)""",
        ("g.register(int, lambda x: 2)\n", ""),
        ("lambda x: 3)\n", "lambda x: 3)\ng.register(int, lambda x: 2)\n"),
    ),
    case("unrelated function", "def f(x): return x", ("def f", "def other(): return 3\ndef f")),
    case("unrelated global", "K = 1\nL = 1\ndef f(x): return K", ("L = 1", "L = 2")),
    case(
        "unrelated attribute of a module",
        "import config\ndef f(x): return config.RATE",
        ("config", "OTHER = 1", "OTHER = 2"),
        config="RATE = 1\nOTHER = 1",
    ),
    case("unrelated import", "def f(x): return x", ("def f", "import os, helpers\ndef f"), helpers="K = 1"),
    case(
        "unrelated helper in its module",
        HELPER,
        ("helpers", "def g", "def k(): return 1\ndef g"),
        helpers="def g(x): return x",
    ),
    case(
        "order of imports",
        "import one\nimport two\ndef f(x): return one.g(two.g(x))",
        ("import one\nimport two", "import two\nimport one"),
        one="def g(x): return x + 1",
        two="import one\ndef g(x): return x",
    ),
    case(
        "another name of a module's alias",
        "import helpers as h\ndef g(x): return h.g(x)\ndef f(x): return g(x)",
        ("helpers", "def g", "NEW = 1\ndef g"),
        helpers="def g(x): return x",
    ),
    case("other set order", "K = {'a', 'b', 'c'}\ndef f(x): return x in K", ("'a', 'b', 'c'", "'c', 'b', 'a'")),
    case("size of a cache", "from functools import lru_cache\n@lru_cache(maxsize=1)\ndef f(x): return x", ("=1", "=2")),
    case(
        "name of a logger",
        "import logging\nlog = logging.getLogger('a')\ndef f(x): log.info(x); return x",
        ("'a'", "'b'"),
    ),
    case(
        "state of an event",
        "import threading\ne = threading.Event()\ndef f(x): return 1 if e else x",
        ("def f", "e._cond.acquire()\ndef f"),
    ),
    case(
        "the environment",
        "from os import environ\nenviron['A'] = '1'\ndef f(x): return environ.get(x)",
        ("= '1'", "= '2'"),
    ),
    case(
        "a lock",
        "import threading\nlock = threading.Lock()\ndef f(x):\n with lock: return x",
        ("def f", "lock.acquire()\ndef f"),
    ),
    case(
        "registered with nothing it reaches",
        "from abc import ABC\nclass B(ABC): pass\nclass X: pass\ndef f(x): return X()",
        ("class X", "B.register(int)\nclass X"),
    ),
    case(
        "attribute of a function that no code names",
        "def g(x): return x\ng.k = 1\ndef f(x): return g(x)",
        ("= 1", "= 2"),
    ),
    case(
        "a library's function replaced that is not called",
        "import colorsys\ncolorsys.hls_to_rgb = lambda x: 1\ndef f(x): return colorsys.hsv_to_rgb(x)",
        (": 1", ": 2"),
    ),
    case(
        "workers of a pool",
        "from concurrent.futures import ThreadPoolExecutor as P\np = P(1)\ndef f(x): return list(p.map(abs, x))",
        ("P(1)", "P(2)"),
    ),
    case(
        "which of the standard streams",
        "import threading, sys\nout = sys.stdout\ndef f(x): out.write(x); return x",
        ("out = sys.stdout", "out = sys.stderr"),
    ),
    case(
        "functions of the module random",
        "from random import randrange\nfrom numpy.random import rand\ndef f(x): return randrange(x) + rand()",
        ("def f", "# made up\ndef f"),
    ),
    case(
        "a type variable with a forward reference",
        "from typing import TypeVar, NamedTuple, get_type_hints\nT = TypeVar('T', bound='list[int]')\n"
        "class P(NamedTuple):\n a: int\ndef f(x): return T, get_type_hints(P)",
        ("def f", "# made up\ndef f"),
    ),
    case(
        "a set of code objects",
        "import sys\ncodes = set()\ndef g(): return 1\ncodes.add(g.__code__)\ndef f(x): return g.__code__ in codes",
        ("def g", "\n\ndef g"),
    ),
    case(
        "import moved within the function",
        "def f(x):\n y = 1\n import json\n return json.dumps(x)",
        (" y = 1\n", " y = 1\n\n\n # now\n"),
    ),
]
KEEPS += patched.KEEPS + named.KEEPS
EVERY = [*CHANGES, *KEEPS]
