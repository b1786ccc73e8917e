"""What a decision says: grammar, thousands, and facts beside the words."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._sentences import TEMPLATES, Decision, decide


def blanks(code: str) -> list[str]:
    """Names that a template wants filled."""
    return [name for _, name, _, _ in string.Formatter().parse(TEMPLATES[code]) if name]


@pytest.mark.parametrize("code", sorted(TEMPLATES))
def test_every_sentence_is_whole_in_the_singular_and_the_plural(code: str) -> None:
    one = decide(code, **dict.fromkeys(blanks(code), 1)).text
    many = decide(code, **dict.fromkeys(blanks(code), 2)).text
    for text in (one, many):
        assert text[0].isupper() or text[0].isdigit()
        assert text.endswith(".")
        assert "{" not in text
    for wrong in ("1 items", "1 workers", "1 processes", "1 cores"):
        assert wrong not in one


@pytest.mark.parametrize("code", sorted(TEMPLATES))
def test_the_words_are_the_facts_unless_there_are_facts(code: str) -> None:
    words = dict.fromkeys(blanks(code), 3)
    assert decide(code, **words).facts == words
    assert decide(code, {"n": 9}, **words) == Decision(code, words, {"n": 9})


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "1 item in"), (2, "2 items in"), (11, "11 items in"), (21, "21 items in"), (1001, "1,001 items in")],
)
def test_one_alone_is_singular(count: int, said: str) -> None:
    assert said in decide("serial.few-items", n=count).text


def test_processes_have_a_singular_of_their_own() -> None:
    assert decide("process.asked", n=1, workers=1, why="it was said").text == (
        "Sent all 1 item to 1 process because it was said."
    )


@given(st.integers(0, 10**12))
def test_large_numbers_can_be_read(n: int) -> None:
    text = decide("serial.few-items", n=n).text
    spoken = text.removeprefix("Ran the ").split(" ")[0]
    assert spoken == f"{n:,}"
    assert decide("serial.few-items", n=n).facts["n"] == n


@given(st.text(alphabet="abc {},", max_size=20))
def test_words_from_outside_are_taken_as_they_are(why: str) -> None:
    """A reason with braces in it is no template."""
    made = decide("fallback.start-failed", why=why)
    assert made.text == f"Ran everything in this process: workers could not be started ({why})."
    assert made.facts == {"why": why}


@pytest.mark.parametrize("code", ["serial", "", "fan-out.cold"])
def test_a_code_that_is_not_published_cannot_be_decided(code: str) -> None:
    with pytest.raises(KeyError):
        decide(code)


def test_a_forgotten_word_is_an_error_and_not_a_hole() -> None:
    with pytest.raises(KeyError, match="workers"):
        _ = decide("fan-out.warm", item=3).text


def test_facts_are_kept_apart_from_what_was_handed_in() -> None:
    facts = {"n": 1}
    made = decide("serial.asked", facts)
    facts["n"] = 2
    assert made.facts == {"n": 1}
