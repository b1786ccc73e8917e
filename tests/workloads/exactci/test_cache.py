"""Results in a cache: the right ones or none, by content, for the function and for the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fanwise
from fanwise.cli import main
from fanwise.workloads.exactci import intervals

TABLES = np.random.default_rng(11).integers(0, 300, (9000, 4))


def bits(done: object) -> bytes:
    return b"".join(getattr(done, name).tobytes() for name in ("lower", "upper", "p_value", "estimate", "odds_ratio"))


def test_a_warm_cache_gives_the_same_bits(tmp_path: Path) -> None:
    plain = bits(intervals(TABLES, progress="none"))
    with fanwise.Cache(tmp_path / "cache") as cache:
        for _ in range(2):
            assert bits(intervals(TABLES, cache=cache, progress="none")) == plain
        assert cache.stats().hits > 0


@pytest.mark.parametrize("other", [{"method": "midp"}, {"alpha": 0.01}, {"alternative": "less"}])
def test_another_question_is_another_entry(tmp_path: Path, other: dict[str, object]) -> None:
    with fanwise.Cache(tmp_path / "cache") as cache:
        intervals(TABLES, cache=cache, progress="none")
        found = intervals(TABLES, cache=cache, progress="none", **other)
    assert bits(found) == bits(intervals(TABLES, progress="none", **other))


def test_a_changed_row_computes_its_chunk_only(tmp_path: Path) -> None:
    changed = TABLES.copy()
    changed[4500] = (9, 9, 9, 9)
    with fanwise.Cache(tmp_path / "cache") as cache:
        intervals(TABLES, cache=cache, progress="none")
        before = cache.stats().hits
        found = intervals(changed, cache=cache, progress="none")
        assert cache.stats().hits > before
    assert bits(found) == bits(intervals(changed, progress="none"))


def test_the_command_tells_what_came_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b,c,d\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in TABLES.tolist()))
    words = ["ci", "t.csv", "--cache-dir", "cache", "--json", "-q", "-p", "1"]
    assert main([*words, "-o", "cold.csv"]) == main([*words, "-o", "warm.csv"]) == 0
    cold, warm = map(json.loads, capsys.readouterr().out.splitlines())
    assert (cold["computed"], cold["cached"]) == (9000, 0)
    assert (warm["computed"], warm["cached"]) == (0, 9000)
    assert Path("cold.csv").read_bytes() == Path("warm.csv").read_bytes()
