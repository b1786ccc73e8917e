"""Which edits are a miss: code, defaults, closures, globals, helpers, classes; and which are not."""

from __future__ import annotations

import functools
import importlib
import math
import random
import sqlite3
import sys
import textwrap
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cache_kit import python

from fanwise import Cache
from fanwise.cache._walk import capture
from fanwise.errors import FanwiseWarning, UsageError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., types.ModuleType]]:
    """Write modules and import them; a second call with the same name replaces the module, as an edit would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written: set[str] = set()

    def write(source: str, name: str = "app", **others: str) -> types.ModuleType:
        for module, text in (*others.items(), (name, source)):
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(text))
            written.add(module)
        for module in written:
            sys.modules.pop(module, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for module in written:
        sys.modules.pop(module, None)


def digest(fn: Any, **options: Any) -> str:
    captured = capture(fn, **options)
    return (captured.digest + b"".join(captured.states())).hex()


BASE = """
    import math
    import helpers
    from dataclasses import dataclass
    from enum import Enum
    from functools import partial, lru_cache, wraps

    RATE = 2.0
    TABLE = {"a": 1}

    class Unit(Enum):
        KG = 1

    class Base:
        def scale(self): return 1

    class Config(Base):
        factor = 3
        def value(self): return self.scale() * self.factor

    @dataclass
    class Point:
        x: int = 0
        def norm(self): return abs(self.x)

    HERE = Point(1)

    def scaled(k):
        def decorate(fn):
            @wraps(fn)
            def call(*args): return k * fn(*args)
            return call
        return decorate

    def inner(x): return x + 1

    @scaled(2)
    def decorated(x): return x

    @lru_cache
    def remembered(x): return x

    add = partial(inner, 5)
    halve = lambda x: x / 2

    def ping(n): return pong(n - 1) if n else 0
    def pong(n): return ping(n - 1) if n else 1

    def f(x, y=1, *, z=2):
        def local(v): return v * 3
        if x in {"p", "q", "r"}:
            return None
        total = RATE + TABLE["a"] + helpers.rate + helpers.double(x) + Config().value() + Unit.KG.value
        total += HERE.norm() + decorated(x) + remembered(x) + add() + halve(x) + ping(3) + local(x)
        return math.sqrt(total)
"""
HELPERS = """
    rate = 0.5
    unused = 1
    def double(x): return twice(x)
    def twice(x): return 2 * x
    def never(x): return x
"""

MISSES = {
    "the function": ("math.sqrt(total)", "math.cbrt(total)"),
    "a default": ("y=1", "y=2"),
    "a keyword default": ("z=2", "z=3"),
    "a positional made keyword-only": ("x, y=1, *, z=2", "x, *, y=1, z=2"),
    "a nested function": ("v * 3", "v * 4"),
    "a constant set": ('"q", "r"}', '"q", "s"}'),
    "a global": ("RATE = 2.0", "RATE = 2.5"),
    "a global of another type": ("RATE = 2.0", "RATE = 2"),
    "data in a container": ('{"a": 1}', '{"a": 2}'),
    "a class attribute": ("factor = 3", "factor = 4"),
    "a base class": ("def scale(self): return 1", "def scale(self): return 2"),
    "a method of a global's class": ("abs(self.x)", "-abs(self.x)"),
    "a global object's field": ("HERE = Point(1)", "HERE = Point(2)"),
    "an enum": ("KG = 1", "KG = 2"),
    "a decorator's argument": ("@scaled(2)", "@scaled(4)"),
    "a decorator": ("return k * fn(*args)", "return k + fn(*args)"),
    "a decorated function": ("def decorated(x): return x", "def decorated(x): return -x"),
    "a function behind lru_cache": ("def remembered(x): return x", "def remembered(x): return -x"),
    "the argument of a partial": ("partial(inner, 5)", "partial(inner, 6)"),
    "the function of a partial": ("return x + 1", "return x + 2"),
    "a lambda": ("x / 2", "x / 3"),
    "a recursion": ("if n else 1", "if n else 2"),
    "a try block": (
        "        return math.sqrt(total)",
        "        try: return math.sqrt(total)\n        except ValueError: return 0",
    ),
}
HITS = {
    "a comment": ("RATE = 2.0", "RATE = 2.0  # per year"),
    "blank lines": ("    def ping", "\n\n\n    def ping"),
    "an unused global": ("RATE = 2.0", "RATE = 2.0\n    OTHER = 1"),
    "the order of definitions": ('    RATE = 2.0\n    TABLE = {"a": 1}', '    TABLE = {"a": 1}\n    RATE = 2.0'),
}


@pytest.mark.parametrize("edit", MISSES)
def test_an_edit_of_what_the_result_depends_on_is_a_miss(project: Callable[..., types.ModuleType], edit: str) -> None:
    old, new = MISSES[edit]
    assert old in BASE
    before = digest(project(BASE, helpers=HELPERS).f)
    assert digest(project(BASE.replace(old, new), helpers=HELPERS).f) != before


@pytest.mark.parametrize("edit", HITS)
def test_an_edit_of_anything_else_is_not(project: Callable[..., types.ModuleType], edit: str) -> None:
    old, new = HITS[edit]
    assert old in BASE
    before = digest(project(BASE, helpers=HELPERS).f)
    assert digest(project(BASE.replace(old, new), helpers=HELPERS).f) == before


@pytest.mark.parametrize(
    ("old", "new", "hit"),
    [
        ("rate = 0.5", "rate = 0.6", False),
        ("2 * x", "3 * x", False),
        ("unused = 1", "unused = 2", True),
        ("def never(x): return x", "def never(x): return -x", True),
    ],
)
def test_of_a_helper_module_only_what_is_reached_counts(
    project: Callable[..., types.ModuleType], old: str, new: str, hit: bool
) -> None:
    before = digest(project(BASE, helpers=HELPERS).f)
    assert (digest(project(BASE, helpers=HELPERS.replace(old, new)).f) == before) is hit


IMPORTS = {
    "import helpers": "helpers.double(x)",
    "import helpers as h": "h.double(x)",
    "from helpers import double": "double(x)",
    "from helpers import double as d": "d(x)",
    "h = helpers": "h.double(x)",
}


@pytest.mark.parametrize("statement", IMPORTS)
def test_helpers_imported_or_renamed_inside_a_function_count(
    project: Callable[..., types.ModuleType], statement: str
) -> None:
    source = f"import helpers\ndef f(x):\n    {statement}\n    return {IMPORTS[statement]}\n"
    before = digest(project(source, helpers=HELPERS).f)
    assert digest(project(source, helpers=HELPERS.replace("2 * x", "3 * x")).f) != before
    assert digest(project(source, helpers=HELPERS.replace("unused = 1", "unused = 2")).f) == before


def test_a_missing_optional_module_is_no_error(project: Callable[..., types.ModuleType]) -> None:
    module = project(
        "def f(x):\n    try:\n        import not_there_at_all\n    except ImportError:\n        return x\n"
    )
    assert digest(module.f)


def test_a_module_in_a_closure_is_followed(project: Callable[..., types.ModuleType]) -> None:
    source = """
        def make():
            import helpers
            def f(x): return helpers.double(x)
            return f
        f = make()
    """
    before = digest(project(source, helpers=HELPERS).f)
    assert digest(project(source, helpers=HELPERS.replace("2 * x", "3 * x")).f) != before


def test_the_same_code_under_another_name_or_in_another_module_is_another_function(
    project: Callable[..., types.ModuleType],
) -> None:
    one = project("def f(x): return x\ndef g(x): return x\n")
    two = project("def f(x): return x\n", "other")
    assert len({digest(one.f), digest(one.g), digest(two.f)}) == 3


def test_scripts_count_by_their_file_name_without_the_folder(tmp_path: Path) -> None:
    code = "from fanwise.cache._walk import capture\ndef f(x): return x\nprint(capture(f).digest.hex())\n"
    paths = [tmp_path / "a" / "run.py", tmp_path / "b" / "run.py", tmp_path / "a" / "other.py"]
    found = []
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        found.append(python(f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')").stdout)
    assert found[0] == found[1] != found[2]
    assert found[0]


def test_a_digest_is_the_same_in_every_process(project: Callable[..., types.ModuleType], tmp_path: Path) -> None:
    here = digest(project(BASE, helpers=HELPERS).f)
    code = f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        import app
        from fanwise.cache._walk import capture
        c = capture(app.f)
        print((c.digest + b"".join(c.states())).hex())
    """
    for seed in ("0", "99"):
        done = python(code, PYTHONHASHSEED=seed)
        assert done.stdout.strip() == here, done.stderr


# What is rebound or changed while the program runs.

RATE = 2
TABLE = {"a": 1}
CALLS: list[int] = []
CONNECTION: Any = sqlite3.connect(":memory:")
NOTHING = object()


def helper(x: int) -> int:
    return x + 1


class Machine:
    speed = 1

    def run(self, x: int) -> int:
        return self.speed * x


def uses_all(x: int) -> int:
    return RATE * TABLE["a"] * helper(x) * Machine().run(1)


@pytest.fixture
def cache() -> Iterator[Cache]:
    with Cache(disk=0) as cache:
        yield cache


def test_a_rebound_global_or_changed_container_is_seen_at_the_next_call(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = cache.memoize(uses_all)
    assert wrapped(1) == 4
    here = globals()
    for change in (
        lambda: monkeypatch.setitem(here, "RATE", 3),
        lambda: monkeypatch.setitem(TABLE, "a", 5),
        lambda: monkeypatch.setitem(here, "helper", lambda x: 100),
        lambda: monkeypatch.setattr(Machine, "speed", 7),
        lambda: monkeypatch.setattr(Machine, "run", lambda self, x: 11),
        lambda: monkeypatch.setattr(uses_all, "__code__", (lambda x: 13).__code__),
    ):
        before = wrapped.key(1)
        change()
        assert wrapped(1) == uses_all(1)
        assert wrapped.key(1) != before


def test_what_is_put_back_hits_again(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = cache.memoize(uses_all)
    before = wrapped.key(1)
    with monkeypatch.context() as patch:
        patch.setitem(TABLE, "a", 2)
        assert wrapped.key(1) != before
    assert wrapped.key(1) == before


def test_a_closure_cell_that_is_rebound_is_seen(cache: Cache) -> None:
    def make() -> tuple[Callable[[int], int], Callable[[int], None]]:
        factor = 1

        def f(x: int) -> int:
            return factor * x

        def change(value: int) -> None:
            nonlocal factor
            factor = value

        return f, change

    f, change = make()
    wrapped = cache.memoize(f)
    assert wrapped(2) == 2
    change(10)
    assert wrapped(2) == 20


def test_a_name_that_appears_later_is_seen(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def f() -> Any:
        try:
            return LATER  # type: ignore[name-defined]
        except NameError:
            return None

    wrapped = cache.memoize(f)
    assert wrapped() is None
    monkeypatch.setitem(globals(), "LATER", 5)
    assert wrapped() == 5


def test_a_function_that_changes_a_global_is_not_stored_and_named_once(cache: Cache) -> None:
    def count(x: int) -> int:
        CALLS.append(x)
        return len(CALLS)

    wrapped = cache.memoize(count)
    with pytest.warns(FanwiseWarning, match=r"count changes the global 'CALLS'.*ignore_globals=\(\"CALLS\",\)"):
        wrapped(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped(1)
    assert cache.stats().stores == 0
    assert cache.stats().uncacheable == 2
    ignoring = cache.memoize(count, ignore_globals=("CALLS",))
    assert ignoring(1) == ignoring(1)


def test_a_rebound_counter_is_such_a_change_too(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "COUNT", 0)

    def f() -> int:
        global COUNT
        COUNT += 1
        return COUNT

    wrapped = cache.memoize(f)
    with pytest.warns(FanwiseWarning, match="'COUNT'"):
        wrapped()
    assert wrapped() == 2


def test_a_global_without_a_key_is_refused_by_name(cache: Cache) -> None:
    def f() -> Any:
        return CONNECTION

    with pytest.raises(UsageError, match=r"the global 'CONNECTION' of .*f has type sqlite3.Connection.*ignore_globals"):
        cache.memoize(f)()
    assert cache.memoize(f, ignore_globals=("CONNECTION",), version=1).key()


def test_a_bare_object_as_global_or_default_stands_for_itself(cache: Cache) -> None:
    def f(x: int, y: Any = NOTHING) -> bool:
        return y is NOTHING

    wrapped = cache.memoize(f)
    assert wrapped.key(1) == wrapped.key(1, NOTHING) == wrapped.key(x=1)
    assert wrapped.key(1) != wrapped.key(1, None)


def test_the_version_counts(cache: Cache) -> None:
    assert len({cache.memoize(helper, version=v).key(1) for v in ("", "2", 2, ("a", 1), {"model": 3})}) == 5


def test_handlers_in_a_table_that_calls_back_end(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def first(n: int) -> int:
        return TABLE["next"](n - 1) if n else 0  # type: ignore[operator]

    monkeypatch.setitem(TABLE, "next", first)
    wrapped = cache.memoize(first)
    before = wrapped.key(3)
    monkeypatch.setitem(TABLE, "next", lambda n: n)
    assert wrapped.key(3) != before


def test_a_stub_of_a_compiled_function_counts_by_the_python_function(cache: Cache) -> None:
    class Dispatcher:
        def __init__(self, py_func: Callable[..., int], **options: object) -> None:
            self.py_func = py_func
            self.targetoptions = options

        def __call__(self, *args: int) -> int:
            return self.py_func(*args)

    def one(x: int) -> int:
        return x

    def two(x: int) -> int:
        return -x

    two.__qualname__ = one.__qualname__
    keys = {digest(Dispatcher(f, fastmath=fast)) for f in (one, two) for fast in (False, True)}
    assert len(keys) == 4


def test_a_real_compiled_function_counts_by_the_python_function() -> None:
    numba = pytest.importorskip("numba")

    def f(x: int) -> int:
        return x + RATE

    compiled = numba.njit(f)
    assert digest(compiled) != digest(f)
    assert digest(compiled) == digest(numba.njit(f))
    assert digest(compiled) != digest(numba.njit(fastmath=True)(f))


def test_an_implementation_registered_later_counts(cache: Cache) -> None:
    @functools.singledispatch
    def shape(x: object) -> str:
        return "any"

    def f(x: object) -> str:
        return shape(x)

    wrapped = cache.memoize(f)
    before = wrapped.key(1)
    shape.register(int, lambda x: "int")
    assert wrapped.key(1) != before


def test_the_class_of_self_counts_for_a_method(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Account:
        balance: int

        @cache.memoize
        def total(self, x: int) -> int:
            return self.rate() * x + self.balance

        def rate(self) -> int:
            return 2

    class Special(Account):
        def rate(self) -> int:
            return 3

    assert Account(1).total(2) == 5
    assert Special(1).total(2) == 7
    monkeypatch.setattr(Account, "rate", lambda self: 10)
    assert Account(1).total(2) == 21


def test_functions_and_classes_as_arguments_count_by_their_code(cache: Cache) -> None:
    def apply(fn: Any, x: int) -> Any:
        return fn(x)

    wrapped = cache.memoize(apply)
    keys = [
        wrapped.key(fn, 1)
        for fn in (
            lambda x: x + 1,
            lambda x: x + 2,
            helper,
            Machine,
            len,
            int,
            functools.partial(pow, 2),
            functools.partial(pow, 3),
            str.upper,
            "abc".upper,
            "abd".upper,
            random.random,
            random.randint,
            math.sqrt,
        )
    ]
    assert len(set(keys)) == len(keys)
    assert wrapped.key(lambda x: x + 1, 1) == wrapped.key(lambda x: x + 1, 1)


def test_explain_says_what_went_into_the_key(cache: Cache) -> None:
    lines = cache.memoize(uses_all, version="7").explain(5).splitlines()
    text = "\n".join(lines)
    for expected in (
        "version: '7'",
        "global RATE: 2",
        "global TABLE: dict, encoded again",
        "uses_all",
        "argument x: 5",
        "key: ",
    ):
        assert expected in text
    assert len(lines) == len(text.split("\n"))


class OddDescriptor:
    def __get__(self, instance: object, owner: type | None = None) -> int:
        return 1


class Everything:
    """One of each kind of attribute that a class can have."""

    __slots__ = ("slot",)
    constant = 1
    table = {"a": [1]}
    prop = property(lambda self: 1)
    static = staticmethod(lambda: 2)
    klass = classmethod(lambda cls: 3)
    method_of_other = str.upper
    part = functools.partialmethod(lambda self, x: x, 4)
    cached = functools.cached_property(lambda self: 5)
    nested = type("Nested", (), {"deep": 1})


def test_every_kind_of_class_attribute_counts() -> None:
    before = digest(Everything)
    for name, value in {
        "constant": 2,
        "table": {"a": [2]},
        "prop": property(lambda self: 9),
        "static": staticmethod(lambda: 9),
        "klass": classmethod(lambda cls: 9),
        "method_of_other": str.lower,
        "part": functools.partialmethod(lambda self, x: x, 9),
        "cached": functools.cached_property(lambda self: 9),
        "nested": type("Nested", (), {"deep": 9}),
    }.items():
        kept = vars(Everything)[name]
        setattr(Everything, name, value)
        assert digest(Everything) != before, name
        setattr(Everything, name, kept)
    assert digest(Everything) == before


class Adder:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, x: int) -> int:
        return x + self.by


def test_an_object_that_is_called_counts_by_its_class_and_its_data() -> None:
    from fanwise.cache import code_digest

    def content(value: Any) -> bytes:
        return repr(vars(value)).encode()

    assert code_digest(Adder(1), content) == code_digest(Adder(1), content)
    assert code_digest(Adder(1), content) != code_digest(Adder(2), content)
    assert code_digest(Adder.__call__, content) != code_digest(Adder(1), content)
    assert code_digest(len, content) != code_digest(abs, content)
