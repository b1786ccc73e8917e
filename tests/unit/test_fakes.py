from __future__ import annotations

import pytest
from tests.runs import report_of, serial_run

from fanwise.records import run_events as told
from fanwise.testing import FakeClock, MemoryCache, RecordingProgress
from fanwise.typing import Clock, Progress


def test_a_fake_clock_moves_only_when_told_to():
    clock: Clock = FakeClock(start=100)
    assert (clock.now(), clock.time()) == (100.0, 100.0)
    clock.sleep(2.5)
    clock.sleep(-1)
    assert clock.now() == 102.5
    FakeClock.advance(clock, 0.5)
    assert clock.time() == 103.0
    assert FakeClock().now() == 0.0


def test_a_fake_clock_never_goes_back():
    with pytest.raises(ValueError, match="cannot go back by 1 s"):
        FakeClock().advance(-1)


def test_a_recording_keeps_every_call():
    recording = RecordingProgress()
    assert isinstance(recording, Progress)
    recording.start(None, "f")
    recording.on(told.MemoryLow(0.1, 1))
    recording.finish(report_of(serial_run()))
    assert recording.starts == [(None, "f")]
    assert recording.events == [told.MemoryLow(0.1, 1)]
    assert recording.reports[0].items == 4


def test_a_memory_cache_keeps_expires_and_touches_no_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "never"))
    clock = FakeClock(start=1_000_000)
    with MemoryCache("1MiB", clock=clock) as cache:
        cache.put("a", [1], ttl=10)
        assert cache.get("a") == [1]
        assert (cache.stats().backend, cache.stats().path) == ("memory", "")
        clock.advance(11)
        assert cache.get("a") is None
    assert not (tmp_path / "never").exists()


def test_a_memory_cache_serves_a_run():
    import fanwise

    cache = MemoryCache()
    assert fanwise.map(abs, [-1, -2, -1], cache=cache, workers=1) == [1, 2, 1]
    assert cache.stats().hits == 1
