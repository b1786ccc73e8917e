"""One grid, one question: the same bytes in every file, however it is stored, computed, remembered or gone on with."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import small_columns
from tests.workloads.envelope.test_envelope_command import Run, run, tree

import fanwise
from fanwise.cli import main
from fanwise.workloads.envelope import Grid, generate_grid, read_grid, sweep
from fanwise.workloads.envelope._generate import write_grid

__all__ = ["run"]

EVERYTHING = ["--by", "country", "--tiers", "comprehensive,commercial,own:12.5-87.5", "--format", "both", "-q"]


def frame_of(columns: dict[str, Any]) -> pd.DataFrame:
    """The wide form of arguments of `Grid.from_arrays`."""
    frame = pd.DataFrame({name: columns[name] for name in ("cell", "country", "region")})
    for code, (ha, mt) in columns["crops"].items():
        frame[f"{code}_H"], frame[f"{code}_P"] = ha, mt
    return frame


def long_of(frame: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for code in ("WHEA", "MAIZ"):
        part = frame[["cell", "country", "region"]].assign(crop=code.lower())
        parts.append(part.assign(harvest_ha=frame[f"{code}_H"], production_mt=frame[f"{code}_P"]))
    return pd.concat(parts).sort_values("harvest_ha", kind="stable")


def half_of(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """One file of a SPAM pair."""
    named = frame.rename(columns={"cell": "GRID_CODE", "country": "ADM0_NAME", "region": "adm1_name"})
    named = named.rename(columns={f"{code}_{kind}": f"{code.lower()}_a" for code in ("WHEA", "MAIZ")})
    return named[["GRID_CODE", "ADM0_NAME", "adm1_name", "whea_a", "maiz_a"]].assign(rec_type=kind)


def forms(frame: pd.DataFrame, folder: Path, seed: int) -> Iterator[list[Path]]:
    """Every way to store a grid; rows in another order each time."""
    shuffled = (frame.sample(frac=1, random_state=seed + turn) for turn in range(10))
    paths = iter(folder / f"{turn}" for turn in range(10))

    def stored(table: pd.DataFrame, suffix: str) -> Path:
        path = next(paths).with_suffix(suffix)
        if suffix == ".parquet":
            table.to_parquet(path, index=False)
        elif suffix == ".csv.gz":
            path.write_bytes(gzip.compress(table.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")))
        else:
            path.write_text(table.to_csv(index=False, na_rep="NA"), encoding="utf-8")
        return path

    yield [stored(next(shuffled), ".csv")]
    yield [stored(next(shuffled), ".csv.gz")]
    yield [stored(next(shuffled).astype({"country": "category", "cell": "string"}), ".parquet")]
    yield [stored(long_of(next(shuffled)), ".csv")]
    yield [stored(long_of(next(shuffled)), ".parquet")]
    yield [stored(half_of(next(shuffled), "P"), ".csv"), stored(half_of(next(shuffled), "H"), ".parquet")]


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), cells=st.integers(2, 25))
def test_every_form_of_a_grid_is_one_grid(tmp_path_factory: pytest.TempPathFactory, seed: int, cells: int) -> None:
    columns = small_columns(seed, cells)
    want = {code: Grid.from_arrays(**columns).digest(code) for code in ("WHEA", "MAIZ")}
    for paths in forms(frame_of(columns), tmp_path_factory.mktemp("forms"), seed):
        grid = read_grid(*paths)
        assert {code: grid.digest(code) for code in want} == want


@pytest.mark.slow
def test_every_form_is_the_same_output(run: Run, tmp_path: Path) -> None:
    frame = frame_of(small_columns(3, 40))
    (tmp_path / "in").mkdir()
    for turn, paths in enumerate(forms(frame, tmp_path / "in", 5)):
        words = ["--crop", "maize", "--crop", "wheat", "--crop", "grain=WHEA+MAIZ"]
        assert run("run", *paths, *words, *EVERYTHING, "--out", f"o{turn}").code == 0
        assert tree(f"o{turn}") == tree("o0")


@pytest.mark.slow
@pytest.mark.process
def test_workers_and_the_state_of_the_cache_change_no_byte(run: Run) -> None:
    Path("s.toml").write_text('[[generate]]\nname = "mc"\ncount = 3\nseed = 1\nyield_cv = 0.2\n')
    words = ["run", "grid.csv", "--all", *EVERYTHING, "--scenario", "s.toml", "--curves", "all", "--bands", "3"]
    ways = {
        "plain": ["-p", "1", "--no-cache"],
        "cold": ["-p", "1"],
        "warm": ["-p", "1"],
        "two": ["-p", "2", "--backend", "process", "--recalculate"],
        "threads": ["-p", "4", "--backend", "thread", "--no-cache"],
        "old": ["-p", "2", "--cache-max-age", "0s"],
        "auto": [],
    }
    for name, places in ways.items():
        assert run(*words, *places, "--out", name).code == 0
        assert tree(name) == tree("plain"), name


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.sampled_from(["interp", "step"]), st.sampled_from(["country", "region"]))
def test_cold_warm_and_threads_are_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, seed: int, method: str, by: str
) -> None:
    grid = Grid.from_arrays(**small_columns(seed, 20))
    asked = {"method": method, "by": by, "points": "spaced:6", "progress": "none"}
    plain = sweep(grid, workers=1, **asked)
    with fanwise.Cache(tmp_path_factory.mktemp("cache"), memory=0) as cache:
        others = [
            sweep(grid, workers=1, cache=cache, **asked),
            sweep(grid, workers=1, cache=cache, **asked),
            sweep(grid, workers=2, backend="thread", **asked),
            sweep(grid, workers=2, cache=cache, recalculate=True, **asked),
        ]
    assert [one.statistics["cache"]["envelopes"]["hits"] for one in others] == [0, 2, 0, 0]
    for other in others:
        assert other.table().equals(plain.table())
        assert other.summary().equals(plain.summary())


class TestCacheOfACommand:
    def counts(self, run: Run, out: str, *words: str) -> dict[str, Any]:
        ended = run("run", "grid.csv", "--all", *EVERYTHING, *words, "--json", "--out", out)
        assert ended.code == 0
        return ended.told["cache"]

    def test_a_cache_that_is_a_file_is_said_and_done_without(self, run: Run) -> None:
        Path("c").write_text("no directory")
        ended = run("run", "grid.csv", "--all", "--cache-dir", "c", "--json", "--out", "o")
        assert ended.code == 0
        assert "no cache" in ended.err
        assert ended.told["cache"]["enabled"] is False

    @pytest.mark.parametrize("damage", ["cut", "zeros", "noise", "gone"])
    def test_whatever_happens_to_its_files_the_outputs_stay(self, run: Run, damage: str, tmp_path: Path) -> None:
        self.counts(run, "a")
        rng = np.random.default_rng(4)
        for path in [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]:
            content = path.read_bytes()
            if damage == "gone":
                path.unlink()
            elif damage == "cut":
                path.write_bytes(content[: len(content) // 2])
            elif damage == "zeros":
                path.write_bytes(bytes(len(content)))
            else:
                noisy = bytearray(content)
                for place in rng.integers(0, max(len(noisy), 1), 50 if noisy else 0).tolist():
                    noisy[place] ^= 0x55
                path.write_bytes(noisy)
        self.counts(run, "b")
        assert tree("b") == tree("a")
        again = self.counts(run, "c")
        assert tree("c") == tree("a")
        assert again["envelopes"]["computed"] == 0

    def test_an_input_of_other_bytes_and_the_same_cells_keeps_its_envelopes(self, run: Run) -> None:
        self.counts(run, "a")
        lines = Path("grid.csv").read_text().splitlines()
        Path("grid.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
        told = self.counts(run, "b")
        assert (told["columns"]["misses"], told["envelopes"]["hits"]) == (1, 3)
        assert tree("b") == tree("a")

    def test_a_touched_input_is_a_hit_and_a_changed_one_of_equal_size_is_not(self, run: Run) -> None:
        self.counts(run, "a")
        os.utime("grid.csv", (1, 1))
        assert self.counts(run, "b")["columns"] == {"hits": 1, "misses": 0}
        content = Path("grid.csv").read_bytes()
        stamp = os.stat("grid.csv")
        place = max(i for i, byte in enumerate(content) if byte in b"12345678")
        Path("grid.csv").write_bytes(content[:place] + bytes([content[place] + 1]) + content[place + 1 :])
        os.utime("grid.csv", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        told = self.counts(run, "c")
        assert told["columns"] == {"hits": 0, "misses": 1}
        assert told["envelopes"]["computed"] == 1

    def test_other_namespaces_survive_a_clearing(
        self, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.counts(run, "a")
        with fanwise.Cache(tmp_path / "cache") as cache:
            cache.put("mine", 7)
        assert main(["cache", "clear", "--name", "fanwise.workloads.envelope", "--yes", "--cache-dir", "cache"]) == 0
        assert "removed 7 entries" in capsys.readouterr().out  # 3 envelopes, the columns of 3 crops, the cells
        with fanwise.Cache(tmp_path / "cache") as cache:
            assert cache.get("mine") == 7
            assert not list(cache.list("fanwise.workloads.envelope"))
        assert self.counts(run, "b")["envelopes"]["computed"] == 3

    def test_runs_name_what_they_kept(self, run: Run) -> None:
        self.counts(run, "a")
        told = json.loads(Path("a/run.json").read_text())
        assert told["cache"]["envelopes"]["misses"] == 3
        assert told["cache"]["columns"] == {"hits": 0, "misses": 1}
        assert {"hits", "misses", "computed", "waited", "expired", "corrupt"} == set(told["cache"]["envelopes"])


class TestResume:
    WORDS = ("run", "grid.csv", "--all", "--no-cache", "--out")

    def test_a_finished_run_leaves_no_journal(self, run: Run, tmp_path: Path) -> None:
        assert run(*self.WORDS, "o", "--resume").code == 0
        assert not list((tmp_path / "cache").rglob("*.journal*"))

    @pytest.mark.slow
    def test_only_changed_crops_are_computed_again(self, small: Grid, tmp_path: Path) -> None:
        journal = tmp_path / "journal"
        asked = {"points": "spaced:4", "progress": "none", "resume": journal}
        sweep(small, **asked)
        columns = small_columns()
        columns["crops"]["MAIZ"][1][5] = 77.7  # type: ignore[index]
        changed = Grid.from_arrays(**columns)
        again = sweep(changed, **asked)
        assert again.report is not None
        assert again.report.resumed == 1
        plain = sweep(changed, points="spaced:4", progress="none")
        assert again.table().equals(plain.table())


def test_a_second_command_with_force_replaces_all_files(run: Run) -> None:
    words = ["run", "grid.csv", "--crop", "rice", "--out", "o"]
    assert run(*words, "--format", "both", "--figures", "svg").code == 0
    assert run(*words, "--force", "--format", "csv").code == 0
    assert sorted(tree("o")) == ["curves.csv", "summary.csv"]
    shutil.rmtree("o")
    assert run(*words, "--format", "csv").code == 0
    assert sorted(tree("o")) == ["curves.csv", "summary.csv"]


def test_a_grid_of_dictionaries_and_batches_is_one_grid(tmp_path: Path) -> None:
    """Row groups and chunks have dictionaries of their own."""
    grid = generate_grid(cells=500, crops=2, countries=9, seed=3)
    write_grid(grid, str(tmp_path / "g.parquet"))
    table = pq.read_table(tmp_path / "g.parquet")
    table = table.set_column(1, "country", table.column("country").dictionary_encode())
    with pq.ParquetWriter(tmp_path / "parts.parquet", table.schema) as writer:
        for start in range(0, 500, 70):
            writer.write_table(table.slice(start, 70))
    again = read_grid(tmp_path / "parts.parquet")
    assert [again.digest(code) for code in again.crops] == [grid.digest(code) for code in grid.crops]
    assert pa.types.is_dictionary(pq.read_schema(tmp_path / "parts.parquet").field("country").type)
