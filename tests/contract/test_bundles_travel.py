"""Bundles in functions, items, initializers and results, by every start method, cold and warm."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.contract.bundle_items import busy, busy_with, install, made_there, maps, total, total_of, total_of_installed
from tests.contract.bundle_peers import own_descriptors

import fanwise
from fanwise import Bundle
from fanwise.bundle._freezing import freeze_over
from fanwise.bundle._transports import INHERITED, PRIVATE, SEALED, Transport
from fanwise.errors import BundleError

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore:workers are forked as requested")]

METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]
BY_DESCRIPTOR = pytest.mark.parametrize("transport", [SEALED, PRIVATE], ids=lambda t: t.name)


def market(transport: Transport = SEALED) -> Bundle:
    return freeze_over(transport, {"prices": np.arange(6.0), "note": b"hello"}, "market")


@pytest.fixture(params=METHODS)
def executor(request: pytest.FixtureRequest) -> Iterator[fanwise.Executor]:
    with fanwise.Executor(2, request.param, backend="process") as made:
        yield made


def of_bundles() -> list[str]:
    return [name for name in own_descriptors() if "fanwise-" in name]


class TestToWorkers:
    @BY_DESCRIPTOR
    def test_a_bundle_in_the_function_is_attached_once(self, executor: fanwise.Executor, transport: Transport) -> None:
        fanwise.map(abs, range(4), executor=executor)  # the workers are there before the bundle
        with market(transport) as bundle:
            for _ in range(2):
                found = fanwise.map(partial(total, bundle), range(40), executor=executor, chunk_size=5)
                assert found == [(15.0 * n, 1) for n in range(40)]

    @BY_DESCRIPTOR
    def test_a_bundle_in_every_item_is_attached_once(self, executor: fanwise.Executor, transport: Transport) -> None:
        fanwise.map(abs, range(4), executor=executor)
        with market(transport) as bundle:
            found = fanwise.map(total_of, [(bundle, n) for n in range(40)], executor=executor, chunk_size=5)
            assert found == [(15.0 * n, 1) for n in range(40)]

    def test_a_submitted_call_takes_bundles(self, executor: fanwise.Executor) -> None:
        with market() as bundle:
            assert [executor.submit(total, bundle, factor=n).result(30) for n in (1, 2)] == [(15.0, 1), (30.0, 1)]

    def test_many_bundles_go_beside_one_message(self, executor: fanwise.Executor) -> None:
        fanwise.map(abs, range(4), executor=executor)
        bundles = [market() for _ in range(130)]
        found = executor.submit(lambda many: sum(b["prices"][1] for b in many), bundles).result(30)
        assert found == 130.0
        for bundle in bundles:
            bundle.close()

    @pytest.mark.parametrize("method", METHODS)
    def test_an_initializer_takes_bundles(self, method: str) -> None:
        with (
            market() as bundle,
            fanwise.Executor(2, method, install, (bundle,), backend="process") as executor,
        ):
            assert fanwise.map(total_of_installed, range(4), executor=executor) == [(15.0 * n, 1) for n in range(4)]

    @pytest.mark.parametrize("method", METHODS)
    def test_a_call_without_an_executor_takes_bundles(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_START_METHOD", method)
        with market() as bundle:
            found = fanwise.map(partial(total, bundle), iter(range(8)), workers=2, backend="process")
            assert found == [(15.0 * n, 1) for n in range(8)]
            assert fanwise.map(total_of, [(bundle, 3)], workers=1, backend="process") == [(45.0, 1)]


class TestInReports:
    def test_it_is_said_how_often_a_bundle_was_sent_and_who_had_it(self, executor: fanwise.Executor) -> None:
        fanwise.map(abs, range(4), executor=executor, chunk_size=1)  # both workers are there before the bundle
        with market() as bundle:
            reports = [fanwise.run(total_of, ((bundle, n) for n in range(40)), executor=executor).report for _ in "ab"]
            first, again = (report.bundles[0] for report in reports)
            assert (first.digest, first.names, first.bytes) == (bundle.digest, ("prices", "note"), 53)
            assert first.transfers >= first.attached >= 1
            assert again.attached >= 1, "workers that had it already are counted too"

    @pytest.mark.parametrize("method", METHODS)
    def test_a_bundle_of_the_function_is_a_decision(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_START_METHOD", method)
        with market() as bundle:
            report = fanwise.run(partial(total, bundle), range(8), workers=2, backend="process").report
            (use,) = report.bundles
            assert use.names == ("prices", "note")
            assert use.transfers == (0 if method == "fork" else use.attached)
            assert [made.code for made in report.plan.decisions] == ["process.asked", "bundle.frozen"]

    def test_inherited_items_hold_bundles_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_START_METHOD", "fork")
        with market() as bundle:
            report = fanwise.run(total_of, [(bundle, n) for n in range(8)], workers=2, backend="process").report
            assert [(use.names, use.transfers) for use in report.bundles] == [(("prices", "note"), 0)]

    def test_a_run_without_bundles_tells_of_none(self) -> None:
        with market():
            assert fanwise.run(abs, range(8), workers=2, backend="process").report.bundles == ()


class TestBack:
    def test_a_bundle_that_a_worker_makes_comes_back(self, executor: fanwise.Executor) -> None:
        made = fanwise.map(made_there, range(6), executor=executor)
        assert [bundle["y"].tolist() for bundle in made] == [[n] * 3 for n in range(6)]
        assert {bundle["inner"]["z"] for bundle in made} == {b"z"}
        assert not made[0]["y"].flags.writeable

    def test_the_callers_own_bundle_comes_back_as_itself(self, executor: fanwise.Executor) -> None:
        with market() as bundle:
            back = fanwise.map(lambda given: (given, given), [bundle] * 3, executor=executor)
            assert all(one is two is bundle for one, two in back)

    def test_what_came_back_is_let_go_with_the_last_reference(self, executor: fanwise.Executor) -> None:
        fanwise.map(abs, range(6), executor=executor, chunk_size=1)  # starts the workers
        made = fanwise.map(made_there, range(6), executor=executor)
        assert len(of_bundles()) == 2 * len(made)
        del made
        assert of_bundles() == []


class TestClosing:
    @pytest.mark.parametrize("method", ["forkserver", "spawn"])
    def test_idle_workers_let_go_when_the_owner_closes(self, method: str) -> None:
        with fanwise.Executor(1, method, backend="process") as executor:
            with market() as bundle:
                fanwise.map(partial(total, bundle), range(3), executor=executor)
                ((_, pid),) = fanwise.map(lambda b: (b["note"], os.getpid()), [bundle], executor=executor)
                assert "fanwise-market" in mapped_by(pid)
            wait_until(lambda: "fanwise-market" not in mapped_by(pid))

    def test_a_busy_worker_lets_go_before_its_next_run(self, executor: fanwise.Executor) -> None:
        fanwise.map(abs, range(4), executor=executor)
        with market() as bundle:
            for found in fanwise.stream(partial(total, bundle), range(6), executor=executor):
                assert found[1] == 1
                bundle.close()
                break
        assert set(fanwise.map(lambda _: maps(), range(6), executor=executor)) == {0}

    def test_functions_of_before_are_sent_again(self, executor: fanwise.Executor) -> None:
        assert fanwise.map(abs, range(4), executor=executor) == [0, 1, 2, 3]
        with market() as bundle:
            assert fanwise.map(partial(total, bundle), [1], executor=executor) == [(15.0, 1)]
        assert fanwise.map(abs, range(-4, 0), executor=executor) == [4, 3, 2, 1]


class TestOutOfReach:
    """A bundle that is inherited only does not reach workers that were there before."""

    def test_items_that_mention_it_run_here_and_the_report_says_so(self) -> None:
        with fanwise.Executor(2, "forkserver") as executor:
            executor.submit(abs, -1).result(30)
            with market(INHERITED) as bundle:
                run = fanwise.run(busy, [(bundle, n) for n in range(12)], executor=executor)
        assert [value for value, _ in run.values()] == [15.0 * n for n in range(12)]
        assert {worker for _, worker in run.values()} == {os.getpid()}
        assert "a bundle that a worker could not attach" in run.report.reason + str(run.report.to_json())

    def test_a_function_that_mentions_it_runs_here(self) -> None:
        with fanwise.Executor(2, "forkserver") as executor:
            executor.submit(abs, -1).result(30)
            with market(INHERITED) as bundle:
                found = fanwise.map(partial(busy_with, bundle), range(12), executor=executor)
            assert found == [(15.0 * n, os.getpid()) for n in range(12)]
            assert executor.submit(abs, -1).result(30) == 1

    @pytest.mark.parametrize("method", METHODS[1:])
    def test_where_nothing_may_run_here_the_item_fails_with_the_reason(self, method: str) -> None:
        with fanwise.Executor(2, method, backend="process") as executor, market(INHERITED) as bundle:
            run = fanwise.run(total_of, [(bundle, 1)], executor=executor)
            assert isinstance(run.outcomes[0].error, BundleError)
            run = fanwise.run(partial(total, bundle), [1, 2], executor=executor)
            assert [type(outcome.error) for outcome in run.outcomes] == [BundleError] * 2
            assert fanwise.map(abs, [-1], executor=executor) == [1]


def mapped_by(pid: int) -> str:
    with open(f"/proc/{pid}/maps", encoding="utf-8") as lines:
        return lines.read()


def wait_until(claim: Callable[[], Any], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < until
        time.sleep(0.01)
