"""Finding files, against what `pathlib` finds, in random folders."""

from __future__ import annotations

import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanwise.errors import InputError
from fanwise.workloads.auditscan.io import find_sources

NAMES = ["a.txt", "B.txt", "é.txt", ".h.txt", "x.log", "a b.txt"]
PATHS = st.tuples(st.lists(st.sampled_from(["p", "q", "Q"]), max_size=2), st.sampled_from(NAMES)).map(
    lambda parts: "/".join([*parts[0], parts[1]])
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def fill(root: Path, paths: set[str]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(PATHS, min_size=1, max_size=8), st.sampled_from(["*.txt", "*", "a*", "*.log", "p/*", "*/*.txt"]))
def test_a_folder_gives_what_pathlib_gives(root: Path, paths: set[str], glob: str) -> None:
    fill(root, paths)
    found = (path for path in root.rglob("*") if path.is_file())
    shown = sorted(path.relative_to(root).as_posix() for path in found)
    wanted = [name for name in shown if fnmatchcase(name if "/" in glob else Path(name).name, glob)]
    if not wanted:
        with pytest.raises(InputError):
            find_sources([root], glob)
        return
    sources = find_sources([root], glob)
    assert [source.shown for source in sources] == wanted
    assert [Path(source.path).read_text() for source in sources] == wanted
    assert [source.size for source in sources] == [len(name.encode()) for name in wanted]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(PATHS, min_size=1, max_size=6), st.data())
def test_each_file_comes_once_wherever_it_is_named(root: Path, paths: set[str], data: st.DataObject) -> None:
    fill(root, paths)
    named = data.draw(st.lists(st.sampled_from(sorted(paths)), max_size=3))
    given_paths = [root / name for name in named] + [root]
    sources = find_sources(given_paths, "*")
    real = [Path(source.path).resolve() for source in sources]
    assert len(real) == len(set(real)) == len(paths)
    first = list(dict.fromkeys(named))
    assert [Path(source.path) for source in sources[: len(first)]] == [root / name for name in first]
    assert [source.named for source in sources] == [True] * len(first) + [False] * (len(paths) - len(first))
