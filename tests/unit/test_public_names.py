"""What is public, and what `import fanwise` may cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fanwise


@pytest.mark.parametrize("name", fanwise.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fanwise, name) is not None
    assert name in dir(fanwise)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fanwise' has no attribute 'mapp'"):
        _ = fanwise.mapp


def test_import_loads_nothing_heavy() -> None:
    heavy = "numpy, multiprocessing, asyncio, rich, click, concurrent.futures.process, pickle, dataclasses"
    program = f"""
import sys
before = set(sys.modules)
import fanwise
new = set(sys.modules) - before
print(sorted(new & set({heavy!r}.split(", "))), sorted(n for n in new if n.startswith("fanwise")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['fanwise']"


def test_a_small_call_loads_nothing_of_workers_caches_or_reports() -> None:
    program = """
import sys, fanwise
fanwise.map(abs, range(3))
heavy = ("backends.", "cache", "report", "progress", "records.scheduling", "engine._scheduler", "engine._journal")
print([name for name in sys.modules if name.removeprefix("fanwise.").startswith(heavy)])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_errors_are_a_small_tree() -> None:
    import concurrent.futures

    errors = fanwise.errors
    ours = [getattr(errors, name) for name in errors.__all__]
    parents = {errors.FanwiseError, errors.RunInterrupted, errors.FanwiseWarning}
    assert all(issubclass(error, tuple(parents)) for error in ours)
    assert issubclass(errors.RunInterrupted, KeyboardInterrupt)
    assert issubclass(errors.BackendError, concurrent.futures.BrokenExecutor)
    assert issubclass(errors.ItemTimeoutError, TimeoutError)
    assert issubclass(errors.RunTimeoutError, TimeoutError)
