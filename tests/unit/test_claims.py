"""A file that one process at a time may write."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fanwise import _claims
from fanwise._claims import claim


@pytest.fixture
def taken(tmp_path: Path) -> int:
    """A file that somebody has."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    claim(fd)
    return fd


def test_what_somebody_has_is_refused(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_claims, "PATIENCE_S", 0.05)
    other = os.open(tmp_path / "file", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        claim(other)
    os.close(other)
    os.close(taken)


def test_what_is_let_go_meanwhile_is_had(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_claims, "PATIENCE_S", 30.0)
    asked = threading.Event()
    monkeypatch.setattr(_claims, "sleep", lambda seconds: asked.set())
    other = os.open(tmp_path / "file", os.O_RDWR)
    waiting = threading.Thread(target=claim, args=(other,))
    waiting.start()
    assert asked.wait(30)
    os.close(taken)
    waiting.join(30)
    assert not waiting.is_alive()
    os.close(other)
