"""Keys of the cache: two questions with one key have one answer, whatever was changed between them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import small_columns

import fanwise
from fanwise.workloads.envelope import Grid, study
from fanwise.workloads.envelope._task import Item, envelopes_of
from fanwise.workloads.envelope.study import make_plan

CHOICES: dict[str, list[Any]] = {
    "tiers": [["comprehensive"], ["commercial"], ["comprehensive", "a:10-90"], ["comprehensive", "a:10-90.5"]],
    "method": ["interp", "step"],
    "points": ["spaced:3", "spaced:4", "at:0.5", "at:0.5,1", "at:0.25,1", "compact", "paper"],
    "filter": ["none", "conservative", "standard", "aggressive"],
    "unit": ["kcal", "mt"],
    "where": [("none", None, None), ("country", None, None), ("region", None, None), ("none", ["Utopia"], None)],
    "crops": [["WHEA"], ["MAIZ"], ["both=WHEA+MAIZ"], ["both=MAIZ+WHEA"]],
    "kcal": [{}, {"WHEA": 3.0}, {"WHEA": 3.5, "MAIZ": 3.0}],
    "scenarios": [
        None,
        {"scenario": [{"name": "s", "shock": [{"yield_factor": 0.5}]}]},
        {"scenario": [{"name": "s", "shock": [{"area_factor": 0.5}]}]},
        {"scenario": [{"name": "s", "shock": [{"yield_factor": 0.5, "regions": ["North"]}]}]},
        {"scenario": [{"name": "s", "shock": [{"yield_factor": 0.5}, {"yield_factor": 2.0}]}]},
        {"generate": [{"name": "g", "count": 1, "seed": 1, "yield_cv": 0.1, "by": "region"}]},
    ],
}
START = {name: values[0] for name, values in CHOICES.items()}
Keyed = tuple[str, bytes]


def asked(columns: dict[str, Any], options: dict[str, Any]) -> list[Keyed]:
    """Key and bytes of the answer of every item."""
    grid = Grid.from_arrays(**columns, kcal_per_g=options["kcal"])
    question = tuple(options[name] for name in ("tiers", "method", "points", "filter", "unit"))
    more = {name: options[name] for name in ("crops", "where", "scenarios")}
    plan, read, _ = make_plan(grid, question=question, keyed=True, **more)
    found = []
    for item in study._items(plan, read):
        answer = envelopes_of(plan, read, Item(item.scenario, item.crop))
        parts = (answer.stops, answer.facts, answer.values)
        found.append((item.key, b"|".join(part.tobytes() for part in parts)))
    return found


def nudge(rng: random.Random, columns: dict[str, Any], options: dict[str, Any]) -> None:
    """Change one value of one cell, or one option."""
    cell = rng.randrange(len(columns["cell"]))
    kind = rng.choice(["value", "value", "value", "country", "region", "cell", "option", "option", "option"])
    if kind == "value":
        column = columns["crops"][rng.choice(["WHEA", "MAIZ"])][rng.randrange(2)]
        value = float(column[cell]) if np.isfinite(column[cell]) else 5.0
        ways = [
            np.nextafter(value, np.inf),
            np.nextafter(value, -np.inf),
            value + 0.1,
            0.0,
            np.nan,
            np.inf,
            -value,
            250.0,
        ]
        column[cell] = rng.choice(ways)
    elif kind == "cell":
        columns["cell"][cell] = 1_000 + rng.randrange(10**6)
    elif kind == "option":
        name = rng.choice(list(CHOICES))
        options[name] = rng.choice(CHOICES[name])
    else:
        names = ["Utopia", "東の国", "", "North"] if kind == "country" else ["North", "South", "Utopia", ""]
        columns[kind][cell] = rng.choice(names)
    columns["country"][0], columns["region"][0] = "Utopia", "North"  # so that every option has what it names


def changes(count: int, seed: int) -> Iterator[list[Keyed]]:
    """The items of a question that changes bit by bit, and now and then starts afresh."""
    rng = random.Random(seed)
    columns, options = small_columns(cells=12), dict(START)
    for turn in range(count):
        if turn % 50 == 0:
            columns, options = small_columns(cells=12), dict(START)
        nudge(rng, columns, options)
        yield asked(columns, options)


def one_answer_a_key(count: int, seed: int) -> tuple[int, int]:
    """Different keys and keys that came again; fails where a key has two answers."""
    answers: dict[str, bytes] = {}
    again = 0
    for items in changes(count, seed):
        for key, answer in items:
            again += key in answers
            assert answers.setdefault(key, answer) == answer
    return len(answers), again


def test_four_hundred_changes_never_meet_an_old_answer() -> None:
    different, again = one_answer_a_key(400, seed=1)
    assert different > 200
    assert again > 50


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_changes_never_meet_an_old_answer() -> None:
    different, again = one_answer_a_key(10_000, seed=2)
    assert different > 5_000
    assert again > 1_000


@pytest.mark.parametrize("name", sorted(set(CHOICES) - {"crops", "kcal", "scenarios"}))
def test_every_option_makes_keys_of_its_own(name: str) -> None:
    keys = [asked(small_columns(), START | {name: value})[0][0] for value in CHOICES[name]]
    assert len(set(keys)) == len(keys)


def test_every_scenario_has_a_key_of_its_own() -> None:
    keys = [asked(small_columns(), START | {"scenarios": value})[-1][0] for value in CHOICES["scenarios"]]
    assert len(set(keys)) == len(keys)


def test_the_order_of_members_is_in_the_key() -> None:
    first, second = (asked(small_columns(), START | {"crops": crops})[0][0] for crops in CHOICES["crops"][2:])
    assert first != second


@settings(max_examples=60)
@given(st.integers(0, 29), st.sampled_from(["WHEA", "MAIZ"]), st.booleans(), st.integers(0, 63))
def test_no_bit_of_a_value_is_left_out(cell: int, crop: str, production: bool, bit: int) -> None:
    before, after = small_columns(), small_columns()
    words = after["crops"][crop][production].view(np.uint64)  # type: ignore[index]
    words[cell] ^= np.uint64(1) << np.uint64(bit)
    grids = Grid.from_arrays(**before), Grid.from_arrays(**after)
    other = "MAIZ" if crop == "WHEA" else "WHEA"
    assert grids[0].digest(crop) != grids[1].digest(crop)
    assert grids[0].digest(other) == grids[1].digest(other)


@settings(max_examples=40)
@given(st.sampled_from(["cell", "country", "region"]), st.integers(0, 29))
def test_labels_and_ids_are_part_of_every_crop(what: str, cell: int) -> None:
    before, after = small_columns(), small_columns()
    after[what][cell] = 99_999 if what == "cell" else "Elsewhere"
    grids = Grid.from_arrays(**before), Grid.from_arrays(**after)
    assert all(grids[0].digest(crop) != grids[1].digest(crop) for crop in ("WHEA", "MAIZ"))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 29), st.floats(0.5, 400)), min_size=1, max_size=6))
def test_only_changed_crops_are_computed(tmp_path_factory: pytest.TempPathFactory, edits: list[Any]) -> None:
    columns = small_columns()
    with fanwise.Cache(tmp_path_factory.mktemp("cache"), memory=0) as cache:
        options = {"cache": cache, "points": "spaced:3", "progress": "none"}
        study.sweep(Grid.from_arrays(**columns), **options)
        before = {code: [half.copy() for half in pair] for code, pair in columns["crops"].items()}  # type: ignore[attr-defined]
        for wheat, cell, value in edits:
            columns["crops"]["WHEA" if wheat else "MAIZ"][1][cell] = value  # type: ignore[index]
        same = [np.array_equal(columns["crops"][code][1], pair[1], equal_nan=True) for code, pair in before.items()]  # type: ignore[index]
        counts = study.sweep(Grid.from_arrays(**columns), **options).statistics["cache"]["envelopes"]
        assert (counts["hits"], counts["computed"]) == (sum(same), 2 - sum(same))
