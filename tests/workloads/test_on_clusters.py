"""Every workload writes the same bytes on a cluster as in one process, also if a worker is killed in the middle."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.dask_servers import Servers
from tests.programs import let_arrow_make_its_pipe
from tests.ray_context import RayContext
from tests.workloads.modelsearch.test_search import GROUPS, LENIENT
from tests.workloads.modelsearch.world import world

from fanwise.cli import main
from fanwise.workloads import auditscan
from fanwise.workloads.envelope import generate_grid
from fanwise.workloads.envelope._generate import write_grid

pytestmark = [pytest.mark.slow, pytest.mark.faults]

Job = Callable[..., dict[str, bytes]]


def contents(folder: Path) -> dict[str, bytes]:
    """What a workload has written, without what tells of the run itself: times and process ids."""
    apart = {"run.json", "manifest.json", "journal"}
    return {
        path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in apart
    }


def ci(home: Path, *options: str) -> dict[str, bytes]:
    rows = np.random.default_rng(3).integers(0, 300, (2500, 4)).tolist()
    (home / "t.csv").write_text("a,b,c,d\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows))
    assert main(["ci", "t.csv", "--method", "all", "-o", "out/o.csv", "--no-cache", "-q", *options]) == 0
    return contents(home / "out")


def scan(home: Path, *options: str) -> dict[str, bytes]:
    auditscan.write_samples("audit", 6, kilobytes=64)
    for path in auditscan.example_rules().parent.glob("*.yaml"):
        shutil.copyfile(path, "rules.yaml" if path.name == "all.yaml" else path.name)
    words = ["scan", "audit", "--rules", "rules.yaml", "--out", "out", "--format", "jsonl,csv", "-q", *options]
    assert main(words) == 0
    return contents(home / "out")


def search(home: Path, *options: str) -> dict[str, bytes]:
    world(home, LENIENT, GROUPS)
    assert main(["search", "run", "search.toml", "-o", "out", "--progress", "none", *options]) == 0
    return {name: data for name, data in contents(home / "out").items() if name.endswith(".csv")}


def envelope(home: Path, *options: str) -> dict[str, bytes]:
    write_grid(generate_grid(cells=300, crops=3, countries=4, seed=5), "grid.csv")
    words = ["run", "grid.csv", "--all", "--by", "country", "--format", "csv", "--no-cache", "-q", "--out", "out"]
    assert main(["envelope", *words, *options]) == 0
    return contents(home / "out")


@pytest.fixture(scope="module", autouse=True)
def _arrow_listens() -> None:
    let_arrow_make_its_pipe()


@pytest.fixture(params=[ci, scan, search, envelope], ids=lambda job: job.__name__)
def job(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A workload, each time in a folder of its own."""
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))

    def run(name: str, *options: str) -> dict[str, bytes]:
        home = tmp_path / name
        (home / "out").mkdir(parents=True)
        if request.param is not ci:
            (home / "out").rmdir()
        monkeypatch.chdir(home)
        found: dict[str, bytes] = request.param(home, *options)
        assert found
        return found

    return run


@pytest.fixture(
    params=[
        pytest.param("dask_servers", marks=pytest.mark.dask, id="dask"),
        pytest.param("ray_workers", marks=pytest.mark.ray, id="ray"),
    ]
)
def there(request: pytest.FixtureRequest) -> Servers | RayContext:
    """A cluster with two workers."""
    found: Servers | RayContext = request.getfixturevalue(request.param)
    found.keep(2)
    return found


def test_the_bytes_are_those_of_one_process(job: Job, there: Servers | RayContext) -> None:
    assert job("there", "--backend", there.url) == job("here", "-p", "1")


def test_a_worker_killed_in_the_middle_changes_no_byte(job: Job, there: Servers | RayContext) -> None:
    timer = threading.Timer(there.middle_s, there.kill_one)
    timer.start()
    found = job("there", "--backend", there.url)
    timer.join()
    assert found == job("here", "-p", "1")
