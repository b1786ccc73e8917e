"""Whatever becomes of the items, the run, its outcomes and its report say the same; and they travel."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanwise
from fanwise.errors import NotPicklableError, UsageError
from fanwise.report import RunReport
from fanwise.testing import BadException, Raise, Return, Scripted, Unpicklable
from fanwise.typing import Retry

pytestmark = [
    pytest.mark.process,
    # the test runner's own thread; it holds no lock of ours
    pytest.mark.filterwarnings("ignore:workers are forked as requested:fanwise.FanwiseWarning"),
]

FAULTS = {
    "raise": lambda: Raise(ValueError("bad")),
    "exit": lambda: Raise(SystemExit(3)),
    "odd": BadException,
    "return": lambda: Return(-1),
    "unsendable": Unpicklable,
}
PLACES = st.fixed_dictionaries(
    {
        "backend": st.sampled_from(["auto", "serial", "thread"]),
        "workers": st.integers(1, 4),
        "chunk_size": st.sampled_from([None, 1, 3]),
    }
)


@dataclass(frozen=True)
class Story:
    """A number of items, what each of their attempts meets, and how often they are tried again."""

    items: int
    faults: dict[int, list[str]]
    retries: int

    def run(self, **options: Any) -> fanwise.Run:
        script = {index: [FAULTS[name]() for name in names] for index, names in self.faults.items()}
        return fanwise.run(Scripted(abs, script), range(self.items), retries=Retry(self.retries, delay=0.0), **options)

    def attempts(self, index: int) -> list[str]:
        """The faults that an item meets: a good one or an exit is its last."""
        met: list[str] = []
        for name in [*self.faults.get(index, []), "good"][: self.retries + 1]:
            met.append(name)
            if name not in {"raise", "odd"}:
                break
        return met


@st.composite
def stories(draw: st.DrawFn, names: tuple[str, ...] = ("raise", "exit", "odd", "return")) -> Story:
    items = draw(st.integers(0, 25))
    faults = st.lists(st.sampled_from(names), min_size=1, max_size=4)
    chosen = draw(st.dictionaries(st.integers(0, 25), faults, max_size=8))
    return Story(items, {index: met for index, met in chosen.items() if index < items}, draw(st.integers(0, 3)))


def check(story: Story, run: fanwise.Run) -> None:
    """What holds for every run that came to its end."""
    assert [outcome.index for outcome in run.outcomes] == list(range(story.items))
    assert (run.complete, run.missing, len(run)) == (True, (), story.items)
    for outcome in run.outcomes:
        met = story.attempts(outcome.index)
        assert outcome.attempts == len(met), (outcome, met)
        assert outcome.ok == (met[-1] in {"good", "return"})
        assert outcome.seconds >= 0
        if outcome.ok:
            assert outcome.unwrap() == (outcome.index if met[-1] == "good" else -1)
        else:
            assert outcome.traceback
    good = sum(outcome.ok for outcome in run.outcomes)
    report = run.report
    assert (report.items, report.ok, report.failed, report.lost, report.missing) == (
        story.items,
        good,
        story.items - good,
        0,
        0,
    )
    assert report.retried == sum(len(story.attempts(index)) > 1 for index in range(story.items))
    assert report.ended == "done"
    assert {error.item for error in report.first_errors} <= {o.index for o in run.outcomes if not o.ok}


@settings(max_examples=40)
@given(stories(), PLACES)
def test_run_outcomes_and_report_agree(story: Story, place: dict[str, Any]) -> None:
    check(story, story.run(**place))


@pytest.mark.slow
@settings(max_examples=10)
@given(stories(), st.sampled_from([None, 1, 3]))
def test_they_agree_in_workers_too(story: Story, chunk_size: int | None) -> None:
    with fanwise.Executor(2, "fork", backend="process") as executor:
        check(story, story.run(executor=executor, chunk_size=chunk_size))


@settings(max_examples=8)
@given(stories(("raise", "unsendable", "return")))
def test_a_result_that_cannot_be_sent_is_final(story: Story) -> None:
    with fanwise.Executor(2, "fork", backend="process") as executor:
        run = story.run(executor=executor)
    for outcome in run.outcomes:
        met = story.attempts(outcome.index)
        assert outcome.attempts == len(met)
        if met[-1] == "unsendable":
            assert isinstance(outcome.error, NotPicklableError)
            assert "_thread.lock" in str(outcome.error)


@settings(max_examples=40)
@given(stories(), PLACES)
def test_map_raises_what_the_first_bad_outcome_holds(story: Story, place: dict[str, Any]) -> None:
    run = story.run(**place)
    bad = next((outcome for outcome in run.outcomes if not outcome.ok), None)
    if bad is None:
        assert run.values() == [outcome.unwrap() for outcome in run.outcomes]
        return
    with pytest.raises(BaseException) as caught:
        story.run(on_error="raise", **place)
    error = caught.value
    assert (type(error).__name__, error.args) == (type(bad.error).__name__, bad.error.args)
    assert error.__notes__[0].startswith(f"item {bad.index} of {story.items}")
    below = [outcome.index for outcome in error.__fanwise_run__.outcomes if outcome.ok and outcome.index < bad.index]
    assert below == list(range(bad.index))
    assert error.__fanwise_run__.report.ended == "error"


@settings(max_examples=40)
@given(stories(), PLACES, st.booleans())
def test_a_stream_of_outcomes_is_the_run(story: Story, place: dict[str, Any], ordered: bool) -> None:
    script = {index: [FAULTS[name]() for name in names] for index, names in story.faults.items()}
    stream = fanwise.stream(
        Scripted(abs, script),
        iter(range(story.items)),
        ordered=ordered,
        on_error="return",
        retries=Retry(story.retries, delay=0.0),
        **place,
    )
    outcomes = list(stream)
    expected = story.run(**place).outcomes
    if ordered:
        assert [outcome.index for outcome in outcomes] == list(range(story.items))
    told = sorted((outcome.index, outcome.ok, outcome.attempts) for outcome in outcomes)
    assert told == [(outcome.index, outcome.ok, outcome.attempts) for outcome in expected]


@settings(max_examples=40)
@given(stories(("raise", "exit", "return")), PLACES)
def test_a_run_can_be_pickled_and_a_report_written(story: Story, place: dict[str, Any]) -> None:
    run = story.run(**place)
    back = pickle.loads(pickle.dumps(run))
    assert [(o.index, o.ok, o.attempts, o.output) for o in back.outcomes] == [
        (o.index, o.ok, o.attempts, o.output) for o in run.outcomes
    ]
    assert back.report == run.report
    assert RunReport.from_json(run.report.to_json()) == run.report


@given(st.integers(0, 30), st.integers(1, 31), PLACES)
def test_a_closed_stream_is_reported_as_far_as_it_went(items: int, taken: int, place: dict[str, Any]) -> None:
    drawn: list[int] = []
    source = (drawn.append(item) or item for item in range(items))
    stream = fanwise.stream(abs, source, lookahead=4, **place)
    got = [item for item, _ in zip(stream, range(taken), strict=False)]
    stream.close()
    assert got == list(range(min(items, taken)))
    assert len(drawn) <= min(items, taken + 1 + 4)


NOT_SECONDS = st.one_of(
    st.floats(max_value=0.0),
    st.just(float("nan")),
    st.just(float("inf")),
    st.text(),
    st.booleans(),
    st.lists(st.none()),
)
NOT_COUNTS = st.one_of(st.integers(max_value=-1), st.floats(), st.text(), st.booleans(), st.binary())


@given(
    st.one_of(
        st.builds(lambda bad: {"timeout": bad}, NOT_SECONDS),
        st.builds(lambda bad: {"deadline": bad}, NOT_SECONDS),
        st.builds(lambda bad: {"retries": bad}, NOT_COUNTS),
        st.builds(lambda bad: {"workers": bad}, NOT_COUNTS),
        st.builds(lambda bad: {"chunk_size": bad}, NOT_COUNTS),
        st.builds(lambda bad: {"seed": bad}, NOT_COUNTS),
        st.builds(lambda bad: {"resume": bad}, st.integers() | st.floats() | st.lists(st.text())),
        st.builds(lambda bad: {"retries": Retry(bad)}, NOT_COUNTS),
        st.builds(lambda bad: {"retries": Retry(1, delay=bad)}, st.floats(max_value=-1e-9) | st.text()),
        st.builds(lambda bad: {"retries": Retry(1, factor=bad)}, st.just(float("nan")) | st.none()),
        st.builds(lambda bad: {"retries": Retry(1, max_delay=bad)}, st.just(float("nan")) | st.text()),
        st.builds(lambda bad: {"retries": Retry(1, on=bad)}, st.text() | st.just((ValueError, 3)) | st.just(int)),
    )
)
def test_a_bad_option_is_named_before_anything_is_drawn(options: dict[str, Any]) -> None:
    drawn: list[int] = []
    source = (drawn.append(item) or item for item in range(3))
    with pytest.raises(UsageError) as caught:
        fanwise.map(lambda item, rng: item, source, **options)
    (name,) = options
    assert str(caught.value).startswith(name)
    assert drawn == []


def test_numbers_of_numpy_are_seconds_too() -> None:
    import numpy as np

    for seconds in (np.float32(30), np.int64(30), np.float64(30)):
        assert fanwise.map(abs, [-1], deadline=seconds, workers=1) == [1]
