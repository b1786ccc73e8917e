"""Items made again from the file: equal to the bit, or it is said whether the file changed or the program is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.workloads.modelsearch.world import columns, month_ends, with_test, world, write_csv

from fanwise.errors import InputError
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._frame import Frame, digest
from fanwise.workloads.modelsearch._replay import DriftError, check_built, check_replay
from fanwise.workloads.modelsearch.io import read_table

GROUPS = [{"name": "all", "items": ["x1:DF(1)@0..1", "x2:AVG(3)", "x3"]}]


@pytest.fixture(params=["all", "lazy"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Config, Frame]:
    sections = {**with_test(), "search": {"forced": ["x4:DF(1)"]}, "run": {"prefetch": request.param}}
    config = world(tmp_path, sections, GROUPS)
    return config, modelsearch.prepare(config)


def rewrite(config: Config, rows: int = 120, **changes: dict[int, float]) -> None:
    """The data file once more, cut to some rows, with single values changed."""
    table = columns()
    for name, values in changes.items():
        for row, value in values.items():
            table[name][row] = value
    write_csv(config.data.file, month_ends(rows), {name: column[:rows] for name, column in table.items()})


def test_an_untouched_file_gives_every_item_again(made: tuple[Config, Frame]) -> None:
    config, frame = made
    check_replay(frame, read_table(config), range(len(frame.items)))


def test_a_changed_input_names_its_item(made: tuple[Config, Frame]) -> None:
    config, frame = made
    rewrite(config, x2={50: 99.0})
    with pytest.raises(InputError, match=r"data\.csv changed during the run: x2:AVG\(3\) is not what it was"):
        check_replay(frame, read_table(config), range(len(frame.items)))


def test_a_change_of_an_item_that_nothing_rests_on_is_told_without_blame(made: tuple[Config, Frame]) -> None:
    config, frame = made
    rewrite(config, x2={50: 99.0})
    unused = [at for at, item in enumerate(frame.items) if item.variable != "x2"]
    with pytest.raises(InputError, match=r"data\.csv changed during the run; run again with --force"):
        check_replay(frame, read_table(config), unused)


def test_a_forced_item_is_looked_at_whatever_is_used(made: tuple[Config, Frame]) -> None:
    config, frame = made
    rewrite(config, x4={50: 99.0})
    with pytest.raises(InputError, match=r"x4:DF\(1\) is not what it was"):
        check_replay(frame, read_table(config), [])


def test_a_file_with_fewer_rows_is_a_changed_file(made: tuple[Config, Frame]) -> None:
    config, frame = made
    rewrite(config, rows=119)
    with pytest.raises(InputError, match="changed during the run"):
        check_replay(frame, read_table(config), [0])


def test_another_column_from_the_same_file_is_a_defect(made: tuple[Config, Frame]) -> None:
    config, frame = made
    fixed = frame.fixed.copy()
    fixed[0, 7] = np.nextafter(fixed[0, 7], np.inf)  # the last bit of one value
    with pytest.raises(DriftError, match=r"x4:DF\(1\) does not come out of its recipe"):
        check_replay(replace(frame, fixed=fixed), read_table(config), [])


def own(frame: Frame, index: int) -> str:
    train, test = frame.free([index])
    return digest(np.concatenate([train[0], test[0]]))


def test_workers_that_built_what_we_would_are_believed(made: tuple[Config, Frame]) -> None:
    _, frame = made
    check_built(frame, {index: {own(frame, index)} for index in range(len(frame.items))})
    check_built(frame, {})


@pytest.mark.parametrize("alone", [True, False])
def test_a_worker_that_built_something_else_is_not(made: tuple[Config, Frame], alone: bool) -> None:
    _, frame = made
    digests = {"0" * 32} if alone else {"0" * 32, own(frame, 2)}
    with pytest.raises(
        DriftError, match=r"x2:AVG\(3\) was built differently by different processes: \['0000"
    ) as caught:
        check_built(frame, {0: {own(frame, 0)}, 2: digests})
    assert own(frame, 2) in str(caught.value)
