"""`EnvelopeEngine`: what it takes, what it counts, and its switches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.workloads.envelope.conftest import small_columns

from fanwise.errors import BackendError, FanwiseWarning, InputError, UsageError
from fanwise.workloads.envelope import EnvelopeEngine, Grid, _engine, sweep


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = small_columns()
    plain = {"grid_code": columns["cell"], "ADM0_NAME": columns["country"], "ADM1_NAME": columns["region"]}
    crops: Any = columns["crops"]
    harvest = pd.DataFrame(plain | {f"{code}_A": pair[0] for code, pair in crops.items()})
    production = pd.DataFrame(plain | {f"{code}_A": pair[1] for code, pair in crops.items()})
    return production, harvest.iloc[::-1]


@pytest.fixture
def engine(tmp_path: Path):
    with EnvelopeEngine("wheat", cache_dir=tmp_path / "cache") as made:
        yield made


def test_data_frames_and_grids_give_the_same_curves(engine: EnvelopeEngine, small: Grid) -> None:
    by_frames, by_grid = engine.calculate(*frames()), engine.calculate(small)
    plain = sweep(small, crops=["WHEA"], progress="none")
    for tier in by_frames:
        assert by_frames[tier].digest == by_grid[tier].digest == plain.curve("WHEA", tier=tier).digest


def test_tiers_are_a_mapping(engine: EnvelopeEngine, small: Grid) -> None:
    tiers = engine.calculate(small)
    assert list(tiers) == ["comprehensive", "commercial"]
    assert len(tiers) == 2
    assert "prime" not in tiers
    with pytest.raises(KeyError):
        tiers["prime"]
    assert tiers.width_reduction_pct("comprehensive") == 0.0
    assert tiers.width_reduction_pct("commercial") == pytest.approx(
        100 * (1 - tiers["commercial"].width / tiers["comprehensive"].width)
    )
    assert tiers.summary()["tier"].tolist() == list(tiers)


def test_one_country(engine: EnvelopeEngine, small: Grid) -> None:
    tiers = engine.calculate(small, country="utopia")
    plain = sweep(small, crops=["WHEA"], countries=["Utopia"], progress="none")
    assert tiers["commercial"].digest == plain.curve("WHEA", "Utopia", "commercial").digest
    assert tiers.summary()["segment"].tolist() == ["Utopia", "Utopia"]


def test_the_cache_is_counted(engine: EnvelopeEngine, small: Grid) -> None:
    engine.calculate(small)
    engine.calculate(small)
    told = engine.get_performance_statistics()
    assert (told["caching_enabled"], told["parallel_enabled"], told["calculations"], told["fallback"]) == (
        True,
        True,
        2,
        None,
    )
    assert told["seconds"] > 0
    found = told["cache_statistics"]
    assert (found["cache_entries"], found["cache_hits"], found["cache_misses"], found["hit_rate"]) == (1, 1, 1, 0.5)
    assert (found["expired"], found["corrupt"]) == (0, 0)
    assert found["total_size_mb"] > 0
    assert found["cache_directory"].endswith("cache")


def test_force_recalculate_does_not_read_but_replaces(engine: EnvelopeEngine, small: Grid) -> None:
    engine.calculate(small)
    engine.calculate(small, force_recalculate=True)
    found = engine.get_performance_statistics()["cache_statistics"]
    assert (found["cache_hits"], found["cache_misses"], found["cache_entries"]) == (0, 2, 1)


def test_entries_say_what_they_are(engine: EnvelopeEngine, small: Grid) -> None:
    engine.calculate(small)
    (entry,) = engine.cached()
    assert (entry.crop, entry.scenario, entry.segments) == ("WHEA", "baseline", 1)
    assert entry.tiers == ("comprehensive", "commercial")
    assert entry.data_digest == small.digest("WHEA")
    assert entry.bytes > 0


def test_clearing(engine: EnvelopeEngine, small: Grid) -> None:
    engine.calculate(small)
    assert engine.clear_cache(older_than=3600) == 0
    assert engine.clear_cache() == 1
    assert engine.cached() == ()


def test_without_caching_nothing_is_read_or_written(tmp_path: Path, small: Grid) -> None:
    engine = EnvelopeEngine(enable_caching=False, cache_dir=tmp_path / "cache")
    engine.calculate(small)
    assert engine.get_performance_statistics()["cache_statistics"] is None
    assert engine.cached() == ()
    assert engine.clear_cache() == 0
    assert not (tmp_path / "cache").exists()


def test_without_parallel_work_everything_is_done_here(tmp_path: Path, small: Grid) -> None:
    engine = EnvelopeEngine(enable_caching=False, enable_parallel=False)
    assert engine.get_performance_statistics()["backend"] == "serial"
    engine.calculate(small)
    told = engine.get_performance_statistics()
    assert (told["parallel_enabled"], told["parallel_workers"], told["backend"]) == (False, 1, "serial")


def test_workers_that_cannot_start_are_no_hindrance(small: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(grid: Grid, **options: Any) -> Any:
        if options.get("backend") == "process":
            raise BackendError("no worker could be started")
        return sweep(grid, **options)

    monkeypatch.setattr(_engine, "sweep", refuses)
    engine = EnvelopeEngine(enable_caching=False, backend="process")
    assert engine.calculate(small)["comprehensive"].status == "ok"
    assert engine.get_performance_statistics()["fallback"] == "no worker could be started"


def test_a_closed_engine_opens_its_cache_again(tmp_path: Path, small: Grid) -> None:
    with EnvelopeEngine(cache_dir=tmp_path) as engine:
        engine.calculate(small)
    engine.calculate(small)
    assert engine.get_performance_statistics()["cache_statistics"]["cache_hits"] == 1
    engine.close()


def test_a_cache_that_cannot_be_is_done_without(tmp_path: Path, small: Grid) -> None:
    (tmp_path / "file").write_text("")
    engine = EnvelopeEngine(cache_dir=tmp_path / "file")
    with pytest.warns(FanwiseWarning, match="no cache"):
        assert engine.calculate(small)["comprehensive"].status == "ok"


def test_unpaired_rows_are_said(engine: EnvelopeEngine) -> None:
    production, harvest = frames()
    with pytest.warns(FanwiseWarning, match="1 cells are in only one of the frames"):
        engine.calculate(production.iloc[1:], harvest)


def test_wrong_calls(engine: EnvelopeEngine, small: Grid) -> None:
    production, harvest = frames()
    with pytest.raises(UsageError, match="give production and harvest, or a Grid"):
        engine.calculate(production)
    with pytest.raises(UsageError, match="give it alone"):
        engine.calculate(small, harvest)
    with pytest.raises(InputError, match="no column grid_code"):
        engine.calculate(production.drop(columns="grid_code"), harvest)
    with pytest.raises(UsageError, match="no country"):
        engine.calculate(small, country="Atlantis")
    with pytest.raises(UsageError):
        EnvelopeEngine(method="linear")


def test_a_crop_that_fails_is_an_error(engine: EnvelopeEngine, small: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.workloads.envelope import _task

    def fails(*_: Any) -> Any:
        raise MemoryError("no room")

    monkeypatch.setattr(_task, "compute", fails)
    with pytest.raises(RuntimeError, match="crop WHEA: MemoryError: no room"):
        engine.calculate(small)


def test_an_empty_world_is_an_empty_curve(engine: EnvelopeEngine) -> None:
    grid = Grid.from_arrays(cell=[1], country=["A"], crops={"WHEA": ([0.0], [0.0])})
    tiers = engine.calculate(grid)
    assert tiers["commercial"].status == "empty"
    assert math.isnan(tiers.width_reduction_pct("commercial"))
