"""What a crew of a cluster makes of what happens to the cluster, whichever it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.agents_nearby import NearbyBackend
from tests.at_chunk import AtChunk

import fanwise
from fanwise.backends.remote import _crew, _liaison
from fanwise.errors import BackendError, NotPicklableError

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NearbyBackend]:
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
    made = NearbyBackend()
    yield made
    made.close()


def slow(x: int) -> int:
    time.sleep(0.01)
    return x + 1


@pytest.mark.parametrize("expected", [True, False], ids=["retired", "lost"])
def test_a_worker_that_leaves_costs_no_result(there: NearbyBackend, expected: bool) -> None:
    gone: list[Any] = []
    leave = AtChunk(3, lambda: gone.append(there.cluster.lose("agent 0", expected=expected)))
    run = fanwise.run(slow, range(80), backend=there, chunk_size=4, progress=leave)
    assert run.values() == [x + 1 for x in range(80)]
    gone[0].close()


def test_with_the_last_worker_gone_it_waits_and_then_says_so(
    there: NearbyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_crew, "GRACE_S", 0.5)
    gone: list[Any] = []
    leave = AtChunk(3, lambda: gone.extend(there.cluster.lose(name) for name in ("agent 0", "agent 1")))
    with pytest.raises(BackendError, match=r"the cluster of this process has had no workers for 0\.5 s") as caught:
        fanwise.map(slow, range(200), backend=there, chunk_size=2, progress=leave)
    assert any(outcome is not None for outcome in caught.value.__fanwise_run__.outcomes)
    for agent in gone:
        agent.close()


def test_a_cluster_that_answers_no_more_ends_the_run(there: NearbyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_liaison, "GRACE_S", 0.5)

    def fall_silent() -> None:
        there.cluster.silent = True

    with pytest.raises(BackendError, match=r"the cluster of this process went away after \d+ items .*nobody answers"):
        fanwise.map(slow, range(2000), backend=there, chunk_size=2, progress=AtChunk(3, fall_silent))


def test_a_bundle_is_written_once_and_again_if_it_went(there: NearbyBackend, tmp_path: Path) -> None:
    with fanwise.freeze({"x": np.arange(1000.0)}) as bundle:
        for _ in range(2):
            assert fanwise.map(lambda i: float(bundle["x"][i]), range(20), backend=there) == list(range(20))
            (path,) = (tmp_path / "cache" / "bundles").glob("*.fwb")
            path.unlink()


def test_what_cannot_travel_fails_alone(there: NearbyBackend) -> None:
    items = [1, (n for n in range(3)), 3]
    outcomes = fanwise.map(repr, items, backend=there, on_error="return")
    assert [type(outcome.error) if not outcome.ok else outcome.value for outcome in outcomes] == [
        "1",
        NotPicklableError,
        "3",
    ]


def test_a_timeout_costs_one_item(there: NearbyBackend) -> None:
    def hang(x: int) -> int:
        if x == 3:
            time.sleep(60)
        return x

    outcomes = fanwise.map(hang, range(8), backend=there, timeout=0.5, on_error="return")
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [3]
