"""What can be sent to a worker and back: every kind of callable and value, by every start method, cold and warm."""

from __future__ import annotations

import dataclasses
import enum
import functools
import os
import subprocess
import sys
import threading
import types
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.crew_driver import Driver, RealClock, chunks_of, work

from fanwise.backends.process import ProcessBackend
from fanwise.backends.process._pickling import register_attachment, register_resolver
from fanwise.errors import NotPicklableError
from fanwise.records.outcomes import Failed
from fanwise.records.scheduling import StartFailed
from fanwise.typing import Attachment

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore:workers are forked as requested")]

METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]
STATES = [f"{method}-{state}" for method in ("fork", "forkserver") for state in ("cold", "warm")]


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


Pair = namedtuple("Pair", "a b")


class Scale:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, x: int) -> int:
        return self.factor * x

    def __call__(self, x: int) -> int:
        return self.factor * x

    @staticmethod
    def plain(x: int) -> int:
        return 3 * x

    @classmethod
    def of_class(cls, x: int) -> int:
        return cls(3).times(x)


@functools.lru_cache
def cached(x: int) -> int:
    return 3 * x


def make_cached_that_calls_itself() -> Callable[[int], int]:
    """As in a main program: found under its name here, and nowhere else."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "from functools import lru_cache\n"
        "@lru_cache(maxsize=7, typed=True)\ndef triple(x):\n    return 3 + triple(x - 1) if x else 0",
        names,
    )
    return names["triple"]


def add(a: int, b: int) -> int:
    return a + b


def make_closure() -> Callable[[int], int]:
    factor = 3
    return lambda x: factor * x


def make_exec() -> Callable[[int], int]:
    names: dict[str, Any] = {}
    exec("def f(x):\n    return 3 * x", names)
    return names["f"]


def make_local_class() -> Any:
    class Local:
        def __call__(self, x: int) -> int:
            return 3 * x

    return Local()


def make_function_of_lost_module() -> Callable[[int], int]:
    """A function of a module that only this process has."""
    module = types.ModuleType("only_here")
    exec("FACTOR = 3\ndef f(x):\n    return FACTOR * x", module.__dict__)
    sys.modules["only_here"] = module
    return module.f


CALLABLES: dict[str, Callable[[], Callable[[int], int]]] = {
    "function": lambda: cached.__wrapped__,
    "lambda": lambda: lambda x: 3 * x,
    "closure": make_closure,
    "partial": lambda: functools.partial(Scale.times, Scale(3)),
    "bound method": lambda: Scale(3).times,
    "class method": lambda: Scale.of_class,
    "static method": lambda: Scale.plain,
    "instance": lambda: Scale(3),
    "instance of a local class": make_local_class,
    "lru_cache": lambda: cached,
    "lru_cache of a local function": lambda: functools.lru_cache(make_closure()),
    "lru_cache that calls itself": make_cached_that_calls_itself,
    "exec": make_exec,
    "built-in method": lambda: (3).__mul__,
    "module of this process only": make_function_of_lost_module,
}


@pytest.fixture(params=[*STATES, *(pytest.param(f"spawn-{s}", marks=pytest.mark.slow) for s in ("cold", "warm"))])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[..., dict[int, Any]]]:
    """Run a function over items in one chunk; warm: in a worker that has run something else before."""
    method, state = request.param.split("-")
    warm = state == "warm"
    backend = ProcessBackend(method=method, keep_warm=warm)

    def once(fn: Callable[..., Any], items: list[Any]) -> dict[int, Any]:
        crew = backend.hire(work(fn, items), 1, RealClock())
        try:
            return Driver(crew, 1).run(chunks_of(len(items), max(1, len(items))))
        finally:
            crew.close(kill=False)

    if warm:
        assert once(abs, [-1])[0].value == 1
    yield once
    backend.close()
    sys.modules.pop("only_here", None)


def test_every_kind_of_callable_travels(run: Callable[..., dict[int, Any]]) -> None:
    values = {}
    for name, make in CALLABLES.items():
        outcomes = run(make(), [1, 2])
        values[name] = [outcomes[i].unwrap() for i in (0, 1)]
    assert values == {name: [3, 6] for name in CALLABLES}


def test_values_come_back_as_instances_of_the_same_classes(run: Callable[..., dict[int, Any]]) -> None:
    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    items = [Point(1, 2), Colour.BLUE, Pair(1, 2), Local(3), Local, {1: [Point(0)]}]
    outcomes = run(lambda x: x, items)
    values = [outcomes[i].value for i in range(len(items))]
    assert values[:3] == items[:3]
    assert values[1] is Colour.BLUE
    assert type(values[3]) is Local
    assert values[4] is Local
    assert values[5] == items[5]


def test_arrays_arrive_writable(run: Callable[..., dict[int, Any]]) -> None:
    np = pytest.importorskip("numpy")

    def bump(array: Any) -> Any:
        array += 1
        return array

    sizes = [10, 1 << 10, 1 << 13, 1 << 17, 1 << 19]
    outcomes = run(bump, [np.zeros(size) for size in sizes])
    for index, size in enumerate(sizes):
        value = outcomes[index].value
        assert value.shape == (size,)
        assert value.flags.writeable
        value += 1
        assert (value == 2).all()


def test_a_read_only_array_stays_read_only(run: Callable[..., dict[int, Any]]) -> None:
    np = pytest.importorskip("numpy")
    frozen = np.zeros(1 << 17)
    frozen.flags.writeable = False
    outcomes = run(lambda a: (a.flags.writeable, a), [frozen])
    assert outcomes[0].value[0] is False
    assert not outcomes[0].value[1].flags.writeable


@pytest.mark.parametrize("size", [0, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, (1 << 20) + 1, 8 << 20])
def test_sizes_around_the_limits_of_a_packet(run: Callable[..., dict[int, Any]], size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    outcomes = run(lambda b: b[::-1], [data[:size]])
    assert outcomes[0].value == data[:size][::-1]


def test_identity_within_a_chunk_is_kept(run: Callable[..., dict[int, Any]]) -> None:
    shared = ["shared"]
    outcomes = run(id, [shared, shared])
    assert outcomes[0].value == outcomes[1].value


def test_a_function_that_cannot_be_sent_is_inherited_or_named() -> None:
    lock = threading.Lock()

    def locked(x: int) -> int:
        with lock:
            return x

    cold = ProcessBackend(method="fork")
    crew = cold.hire(work(locked, [1]), 1, RealClock())
    assert Driver(crew, 1).run(chunks_of(1, 1))[0].value == 1
    crew.close(kill=False)
    with pytest.raises(NotPicklableError, match=r"fn\.<lock> is a _thread\.lock"):
        ProcessBackend(method="forkserver").hire(work(locked, [1]), 1, RealClock())


def test_a_warm_backend_forks_for_a_function_that_cannot_be_sent() -> None:
    lock = threading.Lock()
    backend = ProcessBackend(method="fork", keep_warm=True)
    pids = []
    for fn in (abs, lambda x: lock and x):
        crew = backend.hire(work(fn, [1]), 1, RealClock())
        pids.append(Driver(crew, 1).run(chunks_of(1, 1))[0].worker)
        crew.close(kill=False)
    backend.close()
    assert pids[0] != pids[1]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_function_that_no_worker_can_load_is_fatal(method: str) -> None:
    backend = ProcessBackend(method=method)
    crew = backend.hire(work(Unloadable(), [1]), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    crew.send(worker, chunks_of(1, 1)[0])
    (failed,) = driver.hear(StartFailed)
    crew.close(kill=True)
    backend.close()
    assert failed.fatal
    assert "ZeroDivisionError" in failed.reason


class Unloadable:
    def __call__(self, x: int) -> int:
        return x

    def __reduce__(self) -> Any:
        return divmod, (1, 0)


@pytest.mark.parametrize("method", METHODS)
def test_an_item_that_fails_to_load_costs_itself(method: str) -> None:
    backend = ProcessBackend(method=method)
    crew = backend.hire(work(type, [1, Unloadable(), 2]), 1, RealClock())
    outcomes = Driver(crew, 1).run(chunks_of(3, 3))
    crew.close(kill=False)
    backend.close()
    assert [outcomes[i].value for i in (0, 2)] == [int, int]
    assert isinstance(outcomes[1], Failed)
    assert type(outcomes[1].error) is NotPicklableError
    assert type(outcomes[1].error.__cause__) is ZeroDivisionError


SCRIPT = """
import sys
from fanwise.backends.process import ProcessBackend
from tests.crew_driver import Driver, RealClock, chunks_of, work

class Thing:
    def __init__(self, x):
        self.x = x

class OddError(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b

FACTOR = 3

def triple(thing):
    if thing.x == 2:
        raise OddError("a", "b")
    return Thing(FACTOR * thing.x)

print("imported")
for warm in (False, True):
    backend = ProcessBackend(method=sys.argv[1], keep_warm=warm)
    for again in range(2):
        crew = backend.hire(work(triple, [Thing(1), Thing(2)]), 1, RealClock())
        outcomes = Driver(crew, 1).run(chunks_of(2, 2))
        crew.close(kill=False)
        assert type(outcomes[0].value) is Thing, type(outcomes[0].value)
        assert outcomes[0].value.x == FACTOR, outcomes[0].value.x
        assert type(outcomes[1].error) is OddError
        assert outcomes[1].error.b == "b"
        def triple(thing):
            if thing.x == 2:
                raise OddError("a", "b")
            return Thing(FACTOR * thing.x)
        FACTOR += 1
    backend.close()
print("done")
"""


@pytest.mark.parametrize("method", METHODS)
def test_main_travels_by_value_and_is_never_imported(method: str, tmp_path: Path) -> None:
    """No ``if __name__ == "__main__"`` is needed, and a redefined function is the new one, in warm workers too."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, str(script), method],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{root / 'src'}:{root}", "PATH": "/usr/bin"},
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("imported\ndone\n", "", 0)


class Token:
    """Stands for a bundle: an object whose descriptor travels once per worker."""

    def __init__(self, id: bytes, fd: int) -> None:
        self.id = id
        self.fd = fd


ARRIVED: dict[bytes, int] = {}


def find_token(id: bytes) -> int:
    return ARRIVED[id]


def accept(attachment: Attachment, *, keep: bool) -> None:
    ARRIVED[attachment.id] = attachment.fd


def read_token(fd: int) -> tuple[bytes, int]:
    import os

    return os.pread(fd, 100, 0), len(ARRIVED)


def test_attachments_travel_once_per_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from fanwise import _memfd
    from fanwise.backends.process import _pickling

    monkeypatch.setattr(_pickling, "_reduces", {})
    monkeypatch.setattr(_pickling, "_resolvers", [])
    register_attachment(Token, lambda t: ([Attachment(t.id, t.fd, 5)], (find_token, (t.id,))))
    register_resolver(accept, ARRIVED.pop)
    fd = _memfd.make([b"hello"])
    token = Token(b"0123456789abcdef", fd)
    backend = ProcessBackend(method="fork")
    crew = backend.hire(work(read_token, [token] * 6), 1, RealClock())
    outcomes = Driver(crew, 1).run(chunks_of(6, 2))
    crew.close(kill=False)
    backend.close()
    os.close(fd)
    assert {outcomes[i].value for i in range(6)} == {(b"hello", 1)}


def schedule_of(_: object) -> int:
    return os.sched_getscheduler(0)


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux has scheduling policies")
def test_workers_give_way_to_their_caller(run: Callable[..., dict[int, Any]]) -> None:
    """A worker woken by its first chunk must not take the processor from whoever has chunks for the others."""
    policies = {os.SCHED_OTHER: os.SCHED_BATCH}
    assert run(schedule_of, [0])[0].value == policies.get(os.sched_getscheduler(0), os.sched_getscheduler(0))
