from __future__ import annotations

import pytest
from tests.runs import report_of

from fanwise.records import run_events as told
from fanwise.report._privacy import redact


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("see https://ann:p@ss@host/x and ftp://b:c@d", "see https://ann:***@host/x and ftp://b:***@d"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("/home/ann/proj/a.py", "~/proj/a.py"),
        ('File "/home/ann/a.py", line 3', 'File "~/a.py", line 3'),
        ("/home/anna/a.py", "/home/anna/a.py"),
        ("/mnt/home/ann/a.py", "/mnt/home/ann/a.py"),
        ("/home/ann", "~"),
    ],
)
def test_passwords_and_the_home_directory_are_hidden(text, said, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert redact(text) == said


def test_a_home_that_is_the_root_hides_nothing(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    assert redact("/usr/lib") == "/usr/lib"


def test_no_part_of_a_report_shows_them(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    secret = "pg://u:hunter2@h/db in /home/ann/x"
    events = [
        told.RunStarted(0.0, 2, secret),
        told.Planned(0.0, "fan-out", secret, {"where": secret, secret: [secret]}),
        told.ItemFailed(0.1, 0, "E", secret, secret),
        told.ItemLost(0.1, 1, secret, 1, traceback=secret, last_output=secret),
        told.WorkerEnded(0.2, 1, "died", secret),
    ]
    cache = {"level": "shared", "where": secret, "spent_s": 0.0, "saved_s": 0.0}
    cache |= dict.fromkeys(("lookups", "hits", "stored", "evicted", "refused", "errors", "bytes"), 0)
    bundle = {"digest": "d", "names": [secret], "bytes": 1, "transfers": 1, "attached": 1}
    facts = {"function": secret, "resumed_from": secret, "options": {"x": secret}, "warnings": [secret]}
    report = report_of(events, **facts, cache=[cache], bundles=[bundle])
    for view in (report.to_json(), report.to_html(), report.to_trace()):
        assert "hunter2" not in view
        assert "/home/ann" not in view
    assert report.bundles[0].names == ("pg://u:***@h/db in ~/x",)
