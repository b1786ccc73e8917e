"""Where a call begins and whom it hires follows from its options alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.chosen import options

import fanwise
from fanwise._api._hiring import asked, begins_here, may_fan_out, places_for, unplanned
from fanwise.errors import UsageError


class Elsewhere:
    """A backend of somebody else."""

    name = "elsewhere"

    def hire(self, work: Any, workers: int, clock: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("given", "here"),
    [
        ({}, True),
        ({"workers": 1}, True),
        ({"workers": 4}, True),
        ({"backend": "serial"}, True),
        ({"backend": "thread"}, False),
        ({"backend": "process"}, False),
        ({"backend": "process", "workers": 1}, False),
        ({"timeout": 1}, False),
        ({"timeout": 1, "workers": 1}, False),
        ({"backend": Elsewhere()}, False),
    ],
)
def test_items_run_here_first_unless_another_place_was_named(given: dict[str, Any], here: bool) -> None:
    assert begins_here(options(**given)) == here


@pytest.mark.parametrize(
    ("given", "total", "may"),
    [
        ({}, 10, True),
        ({}, None, True),
        ({}, 1, False),
        ({}, 0, False),
        ({"workers": 1}, 10, False),
        ({"workers": 2}, 10, True),
        ({"backend": "serial"}, 10, False),
    ],
)
def test_a_call_goes_on_elsewhere_only_if_it_may(given: dict[str, Any], total: int | None, may: bool) -> None:
    assert may_fan_out(options(**given), total) == may


class TestExecutors:
    def test_an_executor_that_plans_begins_here(self) -> None:
        with fanwise.Executor(2) as executor:
            assert begins_here(options(executor=executor))

    @pytest.mark.parametrize("made", [{"backend": "process"}, {"isolate": True}, {"backend": "thread"}])
    def test_an_executor_with_a_place_does_not(self, made: dict[str, Any]) -> None:
        with fanwise.Executor(2, **made) as executor:
            assert not begins_here(options(executor=executor))

    def test_its_workers_are_borrowed_and_not_owned(self) -> None:
        with fanwise.Executor(2) as executor:
            places = places_for(options(executor=executor))
            assert places.backend is executor.places()
            assert not places.owned


class TestPlaces:
    def test_processes_and_threads_are_made_for_the_call(self) -> None:
        for name in ("process", "thread"):
            places = places_for(options(backend=name))
            assert places.backend.name == name
            assert places.owned
            places.backend.close()

    def test_a_backend_object_stays_its_owners(self) -> None:
        elsewhere = Elsewhere()
        places = places_for(options(backend=elsewhere))
        assert places.backend is elsewhere
        assert not places.owned

    def test_the_serial_backend_has_nobody_to_hire(self) -> None:
        with pytest.raises(UsageError, match="no workers"):
            places_for(options(backend="serial"))


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ({"backend": "thread"}, "threads.asked", 'backend="thread"'),
        ({"backend": "process"}, "process.asked", 'backend="process" was asked for'),
        ({"timeout": 2}, "process.asked", "timeout was given"),
        ({"backend": Elsewhere()}, "process.asked", "named"),
    ],
)
def test_the_report_says_who_asked(given: dict[str, Any], code: str, says: str) -> None:
    decision = asked(options(**given), 40, 2)
    assert decision.code == code
    assert says in decision.text


def test_an_unknown_number_of_items_is_not_called_none() -> None:
    assert "None" not in asked(options(backend="process"), None, 2).text


@pytest.mark.parametrize(
    ("given", "total", "text"),
    [
        ({"workers": 1}, 9, "Ran in this process because workers=1."),
        ({"workers": 1}, 1, "Ran in this process because workers=1."),
        ({"backend": "serial"}, 9, "Ran in this process because the serial backend was asked for."),
        ({}, 1, "Ran the 1 item in this process: fewer items than would keep two workers busy."),
        ({}, 0, "Ran the 0 items in this process: fewer items than would keep two workers busy."),
    ],
)
def test_a_call_that_had_nothing_to_plan_says_why_it_ran_here(given: dict[str, Any], total: int, text: str) -> None:
    assert unplanned(options(**given), total).text == text


def test_an_input_of_unknown_length_is_sent_as_the_items() -> None:
    assert asked(options(backend="process"), None, 2).text.startswith("Sent all the items to 2 processes")
