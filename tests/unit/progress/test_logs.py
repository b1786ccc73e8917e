from __future__ import annotations

import json
import logging
import re
import sys

from fanwise.progress import JsonLogFormatter


def record(message="read %s", *args, **more):
    made = logging.LogRecord("fanwise.engine", logging.WARNING, "x.py", 1, message, args, more.pop("exc_info", None))
    for name, value in more.items():
        setattr(made, name, value)
    return made


def said(made, run=""):
    return json.loads(JsonLogFormatter(run).format(made))


def test_a_record_is_one_line_with_exactly_the_published_keys():
    text = JsonLogFormatter("ab" * 16).format(record("two\nlines of %s", "a.csv"))
    assert "\n" not in text
    line = json.loads(text)
    assert list(line) == ["t", "level", "logger", "msg", "run"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["t"])
    assert (line["level"], line["logger"], line["msg"], line["run"]) == (
        "WARNING",
        "fanwise.engine",
        "two\nlines of a.csv",
        "ab" * 16,
    )


def test_records_of_workers_name_item_worker_and_run():
    line = said(record("x", fanwise_item=17, fanwise_worker=4711, fanwise_run="cd"), run="ab")
    assert (line["item"], line["worker"], line["run"]) == (17, 4711, "cd")


def test_an_exception_is_an_object():
    try:
        raise KeyError("k")
    except KeyError:
        error = said(record("x", exc_info=sys.exc_info()))["error"]
    assert (error["type"], error["message"]) == ("KeyError", "'k'")
    assert error["traceback"].startswith("Traceback (most recent call last):")


def test_a_traceback_that_came_as_text_is_read():
    text = "Traceback (most recent call last):\n  …\nmypkg.errors.BadRow: row 3: empty\n"
    error = said(record("x", exc_text=text))["error"]
    assert error == {"type": "BadRow", "message": "row 3: empty", "traceback": text}


def test_no_exception_no_error():
    assert "error" not in said(record("x", exc_info=(None, None, None)))


def test_arguments_json_does_not_know_are_written_as_text():
    assert said(record("x", fanwise_item={1}))["item"] == "{1}"
