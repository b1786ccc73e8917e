"""Whatever stands in a configuration, it is read or refused with its file, section and key; nothing else is raised."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.errors import InputError
from fanwise.workloads.modelsearch import Config, load_config, parse_items

PLAIN: dict[str, dict[str, Any]] = {
    "data": {"file": "m.csv", "time": "t", "target": "y", "train": [1, 60], "test": [61, 70], "missing": "common"},
    "search": {"forced": ["season(4)"], "min_terms": 1, "max_terms": 2, "per_variable": 1},
    "filters": {
        "r2_min": 0.3,
        "adj_r2_min": False,
        "vif_max": 10.0,
        "p_max": 0.1,
        "p_exempt": [],
        "season": "group",
        "group_p_max": 0.1,
        "cov": "auto",
        "autocorrelation": {"dw": [1.5, 2.5], "bg_lags": 1, "bg_p": 0.1, "fail": "both"},
        "heteroscedasticity": {"bp_p": 0.05, "white_p": 0.05, "fail": "both"},
        "stationary": "adf-or-pp",
        "stationary_p": 0.05,
        "cointegration": False,
        "oos_ratio_max": False,
        "sign_stability_min": False,
        "sign": {"x": "-"},
    },
    "pretest": {"items_stationary": False, "target_stationary": {"test": "pp", "p": 0.1}},
    "rank": {
        "by": "bic",
        "top": 0,
        "walk_forward": {"min_train": 60, "step": 4},
        "windows": 4,
        "weights": [1, 1, 1],
    },
    "multiplicity": {"method": "spa", "bootstrap": 100, "block": 8, "seed": 42},
    "run": {"chunk": 16, "prefetch": "all"},
}
GROUP = {"name": "g", "items": ["x:LV@0..2"], "pick": [0, 1]}
KEYS = [(section, key) for section, table in PLAIN.items() for key in table]

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([10**30, 10**400, -(10**400)]),
    st.floats(),
    st.sampled_from(
        ["", "auto", "HAC(3)", "HAC()", "HAC(²)", "+", "x:LV", "x:LV@0..1", "x@", "é", "pp", "all", "none"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=["Cc", "Cs"]), max_size=8),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)
)


def toml_of(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {toml_of(inner)}' for key, inner in value.items())}}}"
    return repr(value)


def read(folder: Path, document: Mapping[str, Mapping[str, Any]], group: Mapping[str, Any] = GROUP) -> Config:
    lines = []
    for section, table in document.items():
        lines += [f"[{section}]", *(f"{key} = {toml_of(value)}" for key, value in table.items())]
        if section == "search":
            lines += ["[[search.group]]", *(f"{key} = {toml_of(value)}" for key, value in group.items())]
    path = folder / "s.toml"
    path.write_text("\n".join(lines), "utf-8")
    return load_config(path)


def refusal(ask: Callable[[], object]) -> str:
    """What an input error says; nothing if there is none."""
    try:
        ask()
    except InputError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configurations")


def test_the_plain_document_is_accepted(folder: Path) -> None:
    assert read(folder, PLAIN).filters.sign == {"x": "-"}


@pytest.mark.parametrize(("section", "key"), KEYS, ids=[f"{section}.{key}" for section, key in KEYS])
@settings(max_examples=25)
@given(value=VALUES)
def test_a_key_takes_a_value_or_says_what_it_expects(folder: Path, section: str, key: str, value: Any) -> None:
    changed = {**PLAIN, section: {**PLAIN[section], key: value}}
    said = refusal(lambda: read(folder, changed))
    assert said.startswith("s.toml: ") or not said
    assert len(said) < 500


@pytest.mark.parametrize("key", GROUP)
@given(value=VALUES)
def test_a_group_takes_a_value_or_says_what_it_expects(folder: Path, key: str, value: Any) -> None:
    said = refusal(lambda: read(folder, PLAIN, {**GROUP, key: value}))
    assert said.startswith("s.toml: ") or not said


@given(st.binary(max_size=40))
def test_any_bytes_are_a_configuration_or_an_input_error(folder: Path, data: bytes) -> None:
    path = folder / "b.toml"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"b\.toml"):
        load_config(path)


ENTRY = st.text(st.sampled_from(list("axLVDFGR:,@().0123456789 -é²")), max_size=14)


@given(ENTRY)
def test_an_entry_is_items_or_an_input_error(entry: str) -> None:
    """And canonical text is a fixed point: what is written reads back as itself."""
    said = refusal(lambda: parse_items(entry))
    if said:
        assert entry in said
        return
    items = parse_items(entry)
    assert items
    assert len({str(item) for item in items}) == len({*items})
    for item in items:
        assert parse_items(str(item)) == (item,)


@given(
    st.lists(
        st.sampled_from(["LV", "DF(1)", "DF(3)", "GR(2)", "ABSGR(1)", "LOG", "DLOG(4)", "AVG(3)", "DEV(5)"]),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
)
def test_an_entry_expands_transforms_outside_and_lags_inside(transforms: list[str], lags: list[int]) -> None:
    found = parse_items(f"v.x_1:{','.join(transforms)}@{','.join(map(str, lags))}")
    lagged = [f"v.x_1:{name}" + (f"@{lag}" if lag else "") for name in transforms for lag in lags]
    assert list(map(str, found)) == lagged


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("x@0..999999999", "the lags 0..999999999 are more than 100,000"),
        ("x@0..1000000000000", 'cannot read the lags "@0..1000000000000"'),
        ("x@" + "9" * 5000, "cannot read the lags"),
        ("x:DF(" + "9" * 5000 + ")", "cannot read the transforms"),
        ("x@٣", 'cannot read the lags "@٣"'),
        ("x:DF(٣)", "cannot read the transforms"),
        ("x@3..1", "the lags 3..1 run backwards"),
        ("x@-1", 'cannot read the lags "@-1"'),
        ("x:DF(0)", "a parameter is a whole number of at least 1"),
        ("x:AVG", "AVG needs the number of rows"),
        ("x:LOG(2)", "LOG takes no parameter"),
        ("x:df", "unknown transform df; known: LV DF"),
        ("1x", "expected variable[:transform,…][@lags]"),
    ],
    ids=lambda text: text[:30],
)
def test_an_entry_that_cannot_be_meant_is_quoted(entry: str, says: str) -> None:
    assert says in refusal(lambda: parse_items(entry))


@pytest.mark.parametrize("season", ["season(1)", "season(0)", "season(999999999)", "season(4;5)", "season(4;3,2)"])
def test_a_season_that_cannot_be_is_refused_before_it_is_built(folder: Path, season: str) -> None:
    document = {**PLAIN, "search": {**PLAIN["search"], "forced": [season]}}
    assert f'[search] forced "{season}"' in refusal(lambda: read(folder, document))
