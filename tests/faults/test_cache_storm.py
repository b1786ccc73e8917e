"""No wrong value and no hang, whatever is killed and damaged. The long run: ``python -m tests.soak.cache_storm``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cache_storm import KEYS, is_right, storm, value_of

from fanwise import Cache

pytestmark = [pytest.mark.faults, pytest.mark.process, pytest.mark.slow]


@pytest.mark.parametrize(("backend", "operations"), [("index", 40_000), ("files", 6_000)])
def test_killed_processes_and_damaged_files_never_make_a_wrong_value(
    backend: str, operations: int, tmp_path: Path
) -> None:
    happened = storm(tmp_path / "cache", backend, operations=operations, each=operations // 12)
    assert happened.operations >= operations
    assert (happened.wrong, happened.failures) == (0, 0)
    assert happened.kills
    assert happened.damages


@pytest.mark.parametrize("backend", ["index", "files"])
def test_after_a_storm_a_repair_leaves_a_whole_cache(backend: str, tmp_path: Path) -> None:
    storm(tmp_path / "cache", backend, operations=4_000, each=400, seed=2)
    with Cache(tmp_path / "cache", backend=backend, disk="8MiB") as cache:  # type: ignore[arg-type]  # a parameter
        cache.verify(repair=True)
        assert cache.verify().ok
        for number in range(KEYS):
            assert is_right(number, cache.get_or_compute(number, lambda number=number: value_of(number)))


def test_the_values_of_the_storm_tell_keys_apart() -> None:
    assert not is_right(1, value_of(7))
    assert is_right(7, value_of(7))
