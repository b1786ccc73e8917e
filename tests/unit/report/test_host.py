from __future__ import annotations

import sys

from fanwise.report._host import peak_resident_bytes, read_host


def test_the_host_is_read_from_the_system():
    host = read_host({})
    assert host.cores_machine >= host.cores_usable >= 1
    assert host.memory_bytes > 10**8
    assert host.python == ".".join(map(str, sys.version_info[:3]))
    assert host.start_method == "none"


def test_what_the_caller_knows_wins_and_unknown_names_are_passed_over():
    host = read_host({"name": "node7", "quota_cores": 2.0, "colour": "blue"})
    assert (host.name, host.quota_cores) == ("node7", 2.0)


def test_systems_that_cannot_say_are_borne(monkeypatch):
    def refuse(name):
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", refuse)
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setitem(sys.modules, "resource", None)
    host = read_host({})
    assert host.memory_bytes == 0
    assert host.cores_usable == host.cores_machine
    assert peak_resident_bytes() is None


def test_the_high_water_is_in_bytes(monkeypatch):
    measured = peak_resident_bytes()
    assert measured > 5_000_000
    monkeypatch.setattr("sys.platform", "darwin")
    assert peak_resident_bytes() < measured / 500
