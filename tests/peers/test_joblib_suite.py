"""joblib's own tests of `Parallel`, through the registered backend."""

from __future__ import annotations

import pytest

pytest.importorskip("joblib.test.common", reason="joblib is not installed, or without its tests")

from tests.peers import joblib_suite

MEMORY_MAPS = {"test_auto_memmap_on_arrays_from_generator[fanwise]", "test_memmapping_leaks[fanwise]"}
"""They ask whether an array came as a file that is mapped read-only; here it comes in anonymous memory, writable."""


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """The tests run in a process of their own."""
    return


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(600)
def test_only_those_that_want_files_of_mapped_memory_fail() -> None:
    failed, count = joblib_suite.run("fanwise")
    assert failed == MEMORY_MAPS
    assert count > 100
