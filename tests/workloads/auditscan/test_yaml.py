"""YAML as a tree with lines, and what is refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan._yaml import Listing, Mapping, Node, Scalar, YamlProblem, parse


def plain(node: Node | None) -> object:
    """The tree as Python values."""
    if node is None:
        return None
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {name: plain(value) for name, (_, value) in node.entries().items()}


def problem(text: str) -> YamlProblem:
    with pytest.raises(YamlProblem) as caught:
        parse(text)
    return caught.value


def test_every_node_knows_its_line() -> None:
    top = parse("a:\n  b: 1\n\n  c:\n    - x\n    - y\n")
    assert isinstance(top, Mapping)
    [(key, inner)] = top.pairs
    assert (key.line, inner.line) == (1, 2)
    listing = inner.entries()["c"][1]
    assert [item.line for item in listing.items] == [5, 6]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("no", False),
        ("1.10", 1.1),
        ("'1.10'", "1.10"),
        ("2009", 2009),
        ("~", None),
        ("", None),
        ("!!str 12", "12"),
        ("! 12", 12),
        ("0x1F", 31),
    ],
)
def test_scalars_are_what_yaml_says_they_are(text: str, value: object) -> None:
    node = parse(f"a: {text}")
    assert plain(node) == {"a": value}


def test_raw_text_of_a_scalar_is_kept() -> None:
    node = parse("a: 1.10")
    assert isinstance(node, Mapping)
    assert node.entries()["a"][1].raw == "1.10"


def test_merge_keys_give_what_is_not_given() -> None:
    assert plain(parse("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n")) == {"a": {"x": 1, "y": 2}, "b": {"y": 3, "x": 1}}


def test_the_first_of_several_merged_mappings_counts() -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}\n"
    assert plain(parse(text))["c"] == {"x": 1, "z": 3}


@pytest.mark.parametrize("text", ["a: {<<: 12}", "a: {<<: [1]}"])
def test_only_mappings_can_be_merged(text: str) -> None:
    assert "takes a mapping" in str(problem(text))


def test_repeated_keys_are_found_and_the_last_counts() -> None:
    top = parse("a: 1\nb: 2\na: 3\n")
    assert isinstance(top, Mapping)
    assert [key.line for key in top.repeated()] == [3]
    assert plain(top) == {"a": 3, "b": 2}


def test_a_billion_laughs_are_refused() -> None:
    text = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    assert "expands more than 100 aliases" in str(problem(text))


def test_an_alias_may_be_used_in_every_rule() -> None:
    text = "x: &x {a: 1}\n" + "".join(f"r{n}: *x\n" for n in range(300))
    assert len(plain(parse(text))) == 301


def test_an_alias_of_itself_is_refused() -> None:
    assert "contains itself" in str(problem("a: &a [1, *a]"))


def test_an_alias_without_anchor_is_refused() -> None:
    assert problem("a: 1\nb: *c").line == 2


@pytest.mark.parametrize("depth", [60, 100_000])
def test_deep_nesting_is_refused_and_does_not_end_the_process(depth: int) -> None:
    assert "nested deeper than" in str(problem("[" * depth + "]" * depth))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1,\nc: 2", 4),
        ("a: 'x", 1),
        ("a: \x01", 1),
        ("a: 1\n---\nb: 2", 2),
        ("? [1]\n: 2", 1),
        ("a: !!python/object/apply:os.system ['true']", 1),
        ("a: !secret x", 1),
        ("a: !!set {x, y}", 1),
        ("a: 1\nb: 2024-13-45", 2),
    ],
)
def test_what_is_no_plain_document_is_refused_with_its_line(text: str, line: int) -> None:
    assert problem(text).line == line


def test_a_syntax_error_says_where_it_began() -> None:
    assert (
        str(problem("a: 1\nb: [1,\nc: 2")) == "did not find expected ',' or ']' (while parsing a flow sequence, line 2)"
    )


def test_nothing_is_nothing() -> None:
    assert parse("") is None
    assert parse("# only a comment\n") is None


documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text("ab é\n:#-'\"[{", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(documents)
def test_agrees_with_the_safe_loader(document: object) -> None:
    text = yaml.safe_dump(document, allow_unicode=True)
    assert plain(parse(text)) == yaml.safe_load(text)
