"""Small plain values as JSON."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.bundle._codecs.labels import NotPlainError, pack, unpack

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(scalars, inner),
    max_leaves=20,
)


@given(plain)
def test_any_plain_value_comes_back_with_its_types(value: Any) -> None:
    again = unpack(json.loads(json.dumps(pack(value), allow_nan=False)))
    assert again == value
    assert repr(again) == repr(value)


def test_a_float_that_is_no_number_comes_back() -> None:
    assert math.isnan(unpack(json.loads(json.dumps(pack(math.nan)))))


@pytest.mark.parametrize(
    "value",
    [
        np.int64(1),
        np.str_("a"),
        dt.date(2026, 1, 1),
        b"a",
        {1},
        2**64,
        -(2**64),
        [np.float64(1)],
        type("S", (str,), {})("a"),
    ],
    ids=repr,
)
def test_other_types_are_left_to_a_pickle(value: Any) -> None:
    with pytest.raises(NotPlainError):
        pack(value)


@pytest.mark.parametrize("packed", [{}, {"set": []}, [1], {"tuple": 1}, {"float": 1}])
def test_json_that_is_no_label_is_refused(packed: Any) -> None:
    with pytest.raises(ValueError, match="no label"):
        unpack(packed)
