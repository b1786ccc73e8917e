"""Bundles that a function or its items hold are found without running anybody's code, and told as the report says them."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanwise
from fanwise import Bundle
from fanwise._api._bundle_uses import Use, bundles_in, facts_of, sentence_of, together
from fanwise.typing import Attachment

BUNDLE: list[Bundle] = []


@pytest.fixture
def bundle():
    with fanwise.freeze({"panel": b"p" * 1000, "weights": b"w"}, name="market") as made:
        BUNDLE[:] = [made]
        yield made
    BUNDLE.clear()


def by_name(item):
    return BUNDLE[0]["panel"], item


class Model:
    def __init__(self, bundle):
        self.bundle = bundle

    def score(self, item):
        return item


class Slotted:
    __slots__ = ("bundle",)


class Trap:
    """Anything that asks it for what it does not have runs into this."""

    def __getattr__(self, name):
        raise RuntimeError(f"asked for {name}")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda bundle: partial(max, bundle),
        lambda bundle: partial(max, key=bundle),
        lambda bundle: lambda item: (bundle, item),
        lambda bundle: lambda item, held=bundle: (held, item),
        lambda bundle: lambda item, *, held=bundle: (held, item),
        lambda bundle: by_name,
        lambda bundle: Model(bundle).score,
        Model,
        lambda bundle: (bundle, 1),
        lambda bundle: {"a": [bundle]},
        lambda bundle: partial(partial(max, bundle), 2),
    ],
)
def test_where_functions_have_their_data_bundles_are_found(bundle, wrap):
    assert bundles_in(wrap(bundle), (bundle, 2)) == [bundle]


def test_no_code_of_the_caller_is_run_by_looking():
    assert bundles_in(Trap(), partial(max, Trap()), Slotted(), max, Model, pytest, 3) == []


def test_closed_bundles_and_unfilled_closures_are_passed_over(bundle):
    bundle.close()
    if bundle is None:
        later = 1

    def fn(item):
        return later, item

    assert bundles_in(fn, bundle) == []


@given(st.recursive(st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_things_that_hold_each_other_come_to_an_end(thing):
    ring = [thing]
    ring.append(ring)
    assert bundles_in(ring) == []


def test_the_sentence_names_entries_size_and_items(bundle):
    decision = sentence_of(bundle, 2_000)
    assert decision.code == "bundle.frozen"
    assert decision.text == "Shared panel, weights (1.0 kB) once instead of sending it with each of 2,000 items."
    assert decision.facts == {"names": ["panel", "weights"], "bytes": 1001, "n": 2_000}
    assert "each of the items" in sentence_of(bundle, None).text


def test_of_many_entries_three_are_named():
    with fanwise.freeze(dict.fromkeys("abcde", b"x")) as many:
        assert sentence_of(many, 2).text.startswith("Shared a, b, c and 2 more (5 B) once")


def test_a_bundle_that_was_sent_and_is_also_held_is_told_once(bundle):
    with fanwise.freeze({"x": b"x"}) as inherited:
        carried = [(Attachment(bundle.id, 3, 8, bundle), 2, 2)]
        assert together(carried, [bundle, inherited], 4) == [Use(bundle, 2, 2), Use(inherited, 0, 4)]


def test_the_digest_is_made_where_it_costs_less_than_a_percent_of_the_run(bundle):
    (cheap,) = facts_of([Use(bundle, 1, 2)], 1.0)
    (dear,) = facts_of([Use(bundle, 1, 2)], 0.0)
    assert cheap == {
        "digest": bundle.digest,
        "names": ["panel", "weights"],
        "bytes": 1001,
        "transfers": 1,
        "attached": 2,
    }
    assert dear["digest"] == bundle.id.hex()
    bundle.close()
    assert facts_of([Use(bundle, 1, 2)], 1.0)[0]["digest"] == bundle.id.hex()
