"""Which cluster a name means, and what is said of packages that are missing, too old or too new."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanwise
from fanwise.backends import _clusters
from fanwise.backends.ray._address import checked_url, host_and_port, is_ray_url, warn_if_open
from fanwise.backends.remote import _versions
from fanwise.backends.remote._versions import Pins, check_package
from fanwise.errors import FanwiseWarning, UsageError, UsageValueError

PINS = Pins("ray", "ray", oldest=(2, 60), stop=(3,))


@given(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.integers(1, 65535), st.booleans())
def test_any_host_and_port_is_a_head(host: str, port: int, slash: bool) -> None:
    url = f"ray://{host}:{port}{'/' if slash else ''}"
    assert is_ray_url(url)
    assert checked_url(url) == url
    assert host_and_port(url) == (host, str(port))


@pytest.mark.parametrize(
    "name",
    ["ray:", "ray://", "ray://host", "ray://:1", "ray://host:0", "ray://host:65536", "ray://a@host:1", "ray:h:1"],
)
def test_whatever_names_no_host_or_port_is_quoted_back(name: str) -> None:
    for call in (checked_url, _clusters.checked, lambda url: fanwise.map(abs, [1], backend=url)):
        with pytest.raises(
            UsageValueError, match=r"expected ray or ray://host:port, for example ray://127\.0\.0\.1:10001"
        ):
            call(name)
    with pytest.raises(UsageValueError, match="expected ray or ray://host:port"):
        fanwise.Executor(backend=name)


@pytest.mark.parametrize(
    ("name", "ours"),
    [("ray", True), ("ray://x", True), ("dask://x", True), ("dask+tls://x", True), ("auto", False), ("rays", False)],
)
def test_a_name_is_a_cluster_by_its_scheme(name: str, ours: bool) -> None:
    assert _clusters.is_cluster(name) is ours


@pytest.mark.parametrize("name", ["rey", "spark://host:1", "dask2://h:1", ""])
def test_other_names_are_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(UsageError, match="backend must be one of 'auto', 'serial', 'thread', 'process'"):
        fanwise.map(abs, [1], backend=name)
    with pytest.raises(UsageError, match="backend must be one of 'auto', 'serial', 'thread', 'process'"):
        fanwise.Executor(backend=name)


def test_a_head_on_a_network_is_warned_of_unless_it_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    with pytest.warns(FanwiseWarning, match="not encrypted and anyone who reaches it can run code; set RAY_USE_TLS=1"):
        warn_if_open("ray://10.0.0.5:10001")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_open("ray://127.0.0.1:10001")
        warn_if_open("ray://[::1]:10001")
        monkeypatch.setenv("RAY_USE_TLS", "1")
        warn_if_open("ray://10.0.0.5:10001")


class TestPackages:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: str | None = None
        monkeypatch.setattr(_versions, "_version_of", lambda package: self.found)

    @pytest.mark.parametrize(
        ("backend", "extra"), [("ray", "ray"), ("ray://127.0.0.1:1", "ray"), ("dask://h:1", "dask")]
    )
    def test_one_that_is_missing_is_named_with_what_installs_it(self, backend: str, extra: str) -> None:
        with pytest.raises(UsageError) as caught:
            fanwise.map(abs, [1], backend=backend)
        assert str(caught.value) == f"backend '{extra}' needs: pip install 'fanwise[{extra}]'"

    @pytest.mark.parametrize("found", ["2.60.0", "2.61.0rc1", "2.100.3.dev0"])
    def test_one_within_the_pins_is_fine(self, found: str) -> None:
        self.found = found
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_package(PINS)

    @pytest.mark.parametrize("found", ["2.59.9", "1.99", "0.1"])
    def test_an_older_one_is_refused(self, found: str) -> None:
        self.found = found
        with pytest.raises(UsageError) as caught:
            check_package(PINS)
        assert str(caught.value) == f"fanwise supports ray >= 2.60, < 3; found {found}"

    @pytest.mark.parametrize("found", ["3.0", "3.0rc1", "4"])
    def test_a_newer_one_is_warned_of(self, found: str) -> None:
        self.found = found
        with pytest.warns(FanwiseWarning, match=f"fanwise supports ray >= 2.60, < 3; found {found}"):
            check_package(PINS)


@pytest.mark.parametrize("name", ["ray", "dask://127.0.0.1:8786", "dask+tls://127.0.0.1:8786"])
@pytest.mark.parametrize("option", [{"initializer": print}, {"max_tasks_per_child": 5}])
def test_what_needs_worker_processes_of_this_host_is_refused(name: str, option: dict[str, object]) -> None:
    with pytest.raises(
        UsageError, match=rf"{next(iter(option))} needs worker processes of this host \(backend is '{name[:3]}"
    ):
        fanwise.Executor(backend=name, **option)  # type: ignore[arg-type]  # one of two options


def test_the_executor_of_a_client_is_that_of_a_cluster() -> None:
    client = type("Client", (), {"__module__": "distributed.client"})()
    executor = fanwise.Executor(backend=client)
    assert executor.in_workers_only
    executor.shutdown()
