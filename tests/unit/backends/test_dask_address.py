"""Addresses of schedulers: what is one, how Dask writes it, and which are open to others."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends.dask._address import comm_address, is_dask_url, warn_if_open
from fanwise.errors import FanwiseWarning, UsageValueError

HOSTS = st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True)
PORTS = st.integers(1, 65535)


@given(HOSTS, PORTS, st.booleans(), st.booleans())
def test_any_host_and_port_is_an_address(host: str, port: int, tls: bool, slash: bool) -> None:
    url = f"dask{'+tls' if tls else ''}://{host}:{port}{'/' if slash else ''}"
    assert is_dask_url(url)
    assert comm_address(url) == f"{'tls' if tls else 'tcp'}://{host}:{port}"


@given(st.ip_addresses(v=6), PORTS)
def test_so_is_every_address_of_six_in_brackets(host: object, port: int) -> None:
    assert comm_address(f"dask://[{host}]:{port}") == f"tcp://[{host}]:{port}"


@pytest.mark.parametrize(
    "url",
    [
        "dask://head:0",
        "dask://head:65536",
        "dask://head:-1",
        "dask://head:99999",
        "dask://head:123456",
        "dask://head:",
        "dask://head",
        "dask://",
        "dask",
        "dask://[::1]",
        "dask://::1:8786",
        "dask://[head]:8786",
        "dask://head:8786/path",
        "dask://head:8786?x=1",
        "dask://me@head:8786",
        "dask://two words:8786",
        "dask://head:8786\n",
        "dask://head:\u0668\u0667\u0668\u0666",
        "DASK://head:8786",
        "dask+ssl://head:8786",
        " dask://head:8786",
    ],
)
def test_whatever_names_no_host_or_port_is_quoted_back(url: str) -> None:
    with pytest.raises(UsageValueError, match="expected dask://host:port") as caught:
        comm_address(url)
    assert repr(url) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "ours"),
    [("dask", True), ("dask:", True), ("dask+tls://x", True), ("ray://x", False), ("dask2://x", False), ("", False)],
)
def test_a_name_is_ours_by_its_scheme_well_formed_or_not(name: str, ours: bool) -> None:
    assert is_dask_url(name) is ours


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "[::1]"])
def test_a_scheduler_on_this_host_is_open_to_nobody_else(host: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_open(f"dask://{host}:8786")


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "[fe80::1]", "head", "localhost.example", "128.0.0.1"])
@pytest.mark.parametrize("tls", [False, True])
def test_any_other_is_unless_it_is_encrypted(host: str, tls: bool) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn_if_open(f"dask{'+tls' if tls else ''}://{host}:8786")
    assert [w.category for w in seen] == ([] if tls else [FanwiseWarning])
