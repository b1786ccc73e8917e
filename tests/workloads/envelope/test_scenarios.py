"""A scenario is a plain run on a grid with the shocked values written into it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import Write, small_columns

from fanwise.errors import InputError
from fanwise.workloads.envelope import Grid, sweep
from fanwise.workloads.envelope._scenarios import Draw, log_normal, read_scenarios

QUIET = {"progress": "none", "workers": 1}


def rewritten(columns: dict, change) -> Grid:
    """The grid with ``change(code, place of the cell)`` giving factors on area and production of each cell."""
    crops = {}
    for code, (area, production) in columns["crops"].items():
        factors = np.array([change(code, i) for i in range(len(area))])
        crops[code] = (area * factors[:, 1], production * factors[:, 0] * factors[:, 1])
    return Grid.from_arrays(**(columns | {"crops": crops}))


def same_curves(one, other, *, scenario: str) -> None:
    for crop in one.crops:
        for segment in one.segments:
            for tier in one.tiers:
                a, b = one.curve(crop, segment, tier, scenario=scenario), other.curve(crop, segment, tier)
                assert a.digest == b.digest
                assert (a.valid, a.filtered, a.n_cells) == (b.valid, b.filtered, b.n_cells)


FACTORS = st.sampled_from([0.0, 0.3, 0.7, 1.0, 1.25])


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(FACTORS, FACTORS, st.sampled_from([None, "Utopia", "東の国"]), st.sampled_from([None, "WHEA"])),
        min_size=1,
        max_size=3,
    )
)
def test_a_scenario_is_a_run_on_the_shocked_grid(shocks) -> None:
    columns = small_columns()
    table = []
    for yields, area, country, crop in shocks:
        shock: dict[str, object] = {"yield_factor": yields, "area_factor": area}
        table.append(shock | ({"countries": [country]} if country else {}) | ({"crops": [crop]} if crop else {}))
    plain = columns
    for yields, area, country, crop in shocks:

        def change(code, i, yields=yields, area=area, country=country, crop=crop):
            hit = crop in {None, code} and country in {None, columns["country"][i]}
            return (yields, area) if hit else (1.0, 1.0)

        plain = columns | {"crops": dict(rewritten(plain, change).columns)}
    options = {"by": "country", "method": "step", "points": "spaced:6", "filter": "conservative", **QUIET}
    shocked = sweep(Grid.from_arrays(**columns), scenarios={"scenario": [{"name": "s", "shock": table}]}, **options)
    same_curves(shocked, sweep(Grid.from_arrays(**plain), **options), scenario="s")


@pytest.mark.parametrize("by", ["country", "region", "world"])
def test_a_drawn_scenario_is_a_run_on_the_shocked_grid(by: str) -> None:
    columns = small_columns()
    grid = Grid.from_arrays(**columns)
    told = {"generate": [{"name": "mc", "count": 5, "seed": 3, "yield_cv": 0.4, "by": by}]}
    result = sweep(grid, scenarios=told, by="country", **QUIET)
    assert result.scenarios == ("baseline", "mc-0000", "mc-0001", "mc-0002", "mc-0003", "mc-0004")
    names = {"country": grid.countries, "region": grid.regions, "world": ("",)}[by]
    for index in (0, 4):
        z = np.random.default_rng([3, index]).standard_normal((2, len(names)))
        factors = log_normal(z, 0.4)

        def change(code, i, factors=factors):
            label = "" if by == "world" else columns[by][i]
            return (factors[grid.crops.index(code), names.index(label)], 1.0) if label in names else (1.0, 1.0)

        same_curves(result, sweep(rewritten(columns, change), by="country", **QUIET), scenario=f"mc-{index:04d}")


def test_drawn_factors_do_not_depend_on_which_crops_are_asked_for() -> None:
    grid = Grid.from_arrays(**small_columns())
    told = {"generate": [{"name": "mc", "count": 2, "seed": 1, "yield_cv": 0.2}]}
    both, one = (sweep(grid, crops=crops, scenarios=told, **QUIET) for crops in ("all", ["MAIZ"]))
    assert both.curve("MAIZ", scenario="mc-0001").digest == one.curve("MAIZ", scenario="mc-0001").digest


def test_no_variation_is_no_change() -> None:
    assert log_normal(np.array([-2.0, 0.3]), 0.0).tolist() == [1.0, 1.0]


def test_drawn_factors_have_mean_one_and_the_variation_asked_for() -> None:
    drawn = log_normal(np.random.default_rng(0).standard_normal(200_000), 0.3)
    assert drawn.mean() == pytest.approx(1.0, abs=0.005)
    assert drawn.std() == pytest.approx(0.3, abs=0.005)


def test_factor_zero_empties() -> None:
    grid = Grid.from_arrays(**small_columns())
    gone = {"scenario": [{"name": "gone", "shock": [{"crops": ["maize"], "yield_factor": 0}]}]}
    result = sweep(grid, scenarios=gone, **QUIET)
    assert result.curve("MAIZ", scenario="gone").status == "empty"
    assert result.curve("WHEA", scenario="gone").digest == result.curve("WHEA").digest


def test_a_scenario_without_shocks_is_the_baseline() -> None:
    grid = Grid.from_arrays(**small_columns())
    result = sweep(grid, scenarios=[{"scenario": [{"name": "as is"}]}], **QUIET)
    assert result.curve("WHEA", scenario="as is").digest == result.curve("WHEA").digest


BAD = [
    ("[[scenario]\nname='a'", "s.toml: "),
    ("[[scenari]]\nname='a'", "unknown key 'scenari'; did you mean scenario"),
    ("scenario = 3", "not a list of tables"),
    ("[[scenario]]\nshock=[]", "scenario 1: key 'name'"),
    ("[[scenario]]\nname='baseline'", "the scenario name 'baseline' is reserved"),
    ("[[scenario]]\nname='a'\n[[scenario]]\nname='a'", "the scenario name 'a' occurs twice"),
    ("[[scenario]]\nname='a'\nfactor=1", "scenario 'a': unknown key 'factor'"),
    ("[[scenario]]\nname='a'\nshock=[{yield_facto=1}]", "scenario 'a': unknown key 'yield_facto'; did you mean yield_factor"),
    ("[[scenario]]\nname='a'\nshock=[{yield_factor=-1}]", "key 'yield_factor' is -1; expected a finite number ≥ 0"),
    ("[[scenario]]\nname='a'\nshock=[{area_factor=nan}]", "key 'area_factor' is nan"),
    ("[[scenario]]\nname='a'\nshock=[{area_factor=true}]", "key 'area_factor' is True"),
    ("[[scenario]]\nname='a'\nshock=[{countries=['Utopi']}]", "key 'countries': no country 'Utopi' in the grid"),
    ("[[scenario]]\nname='a'\nshock=[{regions=['East']}]", "key 'regions': no region 'East'"),
    ("[[scenario]]\nname='a'\nshock=[{countries=['Utopia'], regions=['North']}]", "countries or regions, not both"),
    ("[[scenario]]\nname='a'\nshock=[{crops=['wheet']}]", "key 'crops': no crop 'wheet' in the grid; did you mean wheat"),
    ("[[scenario]]\nname='a'\nshock=[{crops='WHEA'}]", "key 'crops' is 'WHEA'; expected a list of texts"),
    ("[[generate]]\nname='a'\ncount=0\nseed=1\nyield_cv=0.1", "key 'count' is 0"),
    ("[[generate]]\nname='a'\ncount=1\nyield_cv=0.1", "key 'seed' is None"),
    ("[[generate]]\nname='a'\ncount=1\nseed=1", "key 'yield_cv' is nan"),
    ("[[generate]]\nname='a'\ncount=1\nseed=1\nyield_cv=0.1\nby='city'", "key 'by' is 'city'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD, ids=[m[:40] for _, m in BAD])
def test_what_is_wrong_is_named(write: Write, text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        read_scenarios(write("s.toml", text), Grid.from_arrays(**small_columns()))
    assert message in str(raised.value)
    assert "s.toml" in str(raised.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"none\.toml: no such file"):
        read_scenarios("none.toml", Grid.from_arrays(**small_columns()))


def test_many_scenarios_have_names_of_one_length() -> None:
    grid = Grid.from_arrays(**small_columns())
    told = read_scenarios({"generate": [{"name": "x", "count": 10_001, "seed": 0, "yield_cv": 0}]}, grid)
    assert (told[1].name, told[-1].name) == ("x-00000", "x-10000")
    assert isinstance(told[1].shocks[0], Draw)
