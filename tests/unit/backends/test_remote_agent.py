"""What an agent answers before any process is started: orders that lack something, were withdrawn, or come too late."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crew_driver import work

from fanwise.backends.remote import _blobs
from fanwise.backends.remote._agent import Agent
from fanwise.backends.remote._letters import Answer, Desk, Need, Note, Order, digest_of, pack_script
from fanwise.backends.remote._versions import _major, versions_here

WRITTEN = pack_script(Desk(work(abs, []), 30.0).script)


@pytest.fixture
def agent() -> Iterator[Agent]:
    made = Agent(1)
    yield made
    made.close()


def order(chunk: int = 1, run: bytes = b"run", needs: tuple[Need, ...] = ()) -> Order:
    return Order(run, chunk, 10 * chunk, 2, 0, needs)


def test_an_order_of_an_unknown_run_asks_for_its_script(agent: Agent) -> None:
    assert agent.perform(order(), b"", b"") == Answer(None, [(Note.LACKS, b"")])


def test_a_bundle_that_is_not_here_is_asked_for(agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path))
    here, absent = digest_of([b"here"]), digest_of([b"absent"])
    _blobs.store_blob(here, 4, b"here")
    needs = (Need(b"i" * 16, here, 4), Need(b"j" * 16, absent, 6))
    before = set(os.listdir("/proc/self/fd"))
    assert agent.perform(order(needs=needs), b"", WRITTEN) == Answer(None, [(Note.LACKS, absent)])
    assert set(os.listdir("/proc/self/fd")) == before, "those that were here are closed again"


def test_a_chunk_withdrawn_before_it_came_is_given_back_whole(agent: Agent) -> None:
    assert agent.withdraw(b"run", 3)
    assert agent.withdraw(b"run", 3), "asked twice, answered alike"
    assert agent.perform(order(3), b"", WRITTEN) == Answer(None, [(Note.RETURNED, 30)])


def test_a_chunk_killed_before_it_came_never_begins(agent: Agent) -> None:
    assert agent.kill(b"run", 4, "too slow")
    assert agent.perform(order(4), b"", WRITTEN) == Answer(None, [(Note.RETURNED, 40)])


def test_nothing_of_an_interrupted_run_begins(agent: Agent) -> None:
    agent.interrupt(b"run")
    assert agent.perform(order(1), b"", WRITTEN) == Answer(None, [(Note.RETURNED, 10)])


def test_a_chunk_withdrawn_in_one_run_is_another_in_the_next(agent: Agent) -> None:
    agent.withdraw(b"one", 1)
    agent.interrupt(b"two")
    assert agent.withdraw(b"two", 2)
    assert not agent._run(b"two").withdrawn & agent._run(b"one").withdrawn


def test_a_run_that_has_ended_knows_no_script_and_is_over(agent: Agent) -> None:
    agent.withdraw(b"run", 1)
    agent.perform(order(1), b"", WRITTEN)
    agent.end(b"run")
    assert agent._run(b"run").is_over()
    assert agent.perform(order(2), b"", b"") == Answer(None, [(Note.LACKS, b"")])


def test_runs_that_are_over_are_forgotten_when_another_begins(agent: Agent) -> None:
    agent.renew(b"old")
    agent.end(b"old")
    agent.renew(b"new")
    assert list(agent._runs) == [b"new"]


def test_nothing_runs_where_nothing_was_begun(agent: Agent) -> None:
    assert agent.running(b"run") == []


@given(st.lists(st.tuples(st.sampled_from([b"one", b"two"]), st.integers(0, 5), st.booleans()), max_size=20))
def test_what_was_withdrawn_never_begins_whatever_came_between(steps: list[tuple[bytes, int, bool]]) -> None:
    agent, withdrawn = Agent(1), set()
    for run, chunk, perform in steps:
        if not perform:
            assert agent.withdraw(run, chunk)
            withdrawn.add((run, chunk))
        elif (run, chunk) in withdrawn:
            assert agent.perform(order(chunk, run), b"", WRITTEN).notes == [(Note.RETURNED, 10 * chunk)]


def test_versions_are_what_must_agree() -> None:
    import numpy as np

    here = versions_here()
    assert set(here) == {"python", "fanwise", "cloudpickle", "numpy"}
    assert here["numpy"] == np.__version__.split(".")[0]
    assert pickle.loads(pickle.dumps(here)) == here


def test_a_package_that_is_absent_has_no_version() -> None:
    assert _major("no-such-package-anywhere") is None
