"""Decisions of the plan as whole sentences with their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TEMPLATES", "Decision", "bytes_text", "decide", "seconds_text"]

TEMPLATES: Mapping[str, str] = {
    "serial.too-small": (
        "Ran all {n} items in this process: they took {took}; starting {workers} workers takes about {start}."
    ),
    "serial.few-items": "Ran the {n} items in this process: fewer items than would keep two workers busy.",
    "serial.asked": "Ran in this process because workers=1.",
    "serial.one-core": "Ran in this process: only one core may be used ({why}).",
    "serial.nested": "Ran in this process: this call runs inside a worker of another run.",
    "fan-out": (
        "Ran {here} items here in {took}, then started {workers} workers at item {item}: "
        "about {left} of work was left, {gain} could be gained."
    ),
    "fan-out.warm": "Sent items to {workers} workers that were already running, from item {item} on.",
    "threads.chosen": "Used threads: this Python has no global lock.",
    "threads.asked": 'Used threads because backend="thread".',
    "workers.quota": "{workers} workers: the container may use {quota} of the machine's {cores} cores.",
    "workers.affinity": "{workers} workers: this process may run on {usable} of {cores} cores.",
    "workers.load": "{workers} workers instead of {wanted}: the machine is busy (load {load}).",
    "workers.memory": "{workers} workers instead of {wanted}: each needs about {each}, {free} are free.",
    "workers.coordinator": (
        "{workers} of {connected} connected workers: more would wait for the coordinator ({per_chunk} per chunk)."
    ),
    "chunk.size": "Chunks of {size} items: one item takes {each}, the aim is {aim} per chunk.",
    "bundle.frozen": "Shared {names} ({bytes}) once instead of sending it with each of {n} items.",
    "fallback.unpicklable": "Ran everything in this process: {what} and cannot be sent to a worker.",
    "fallback.start-failed": "Ran everything in this process: workers could not be started ({why}).",
    "process.asked": "Sent all {n} items to {workers} processes because {why}.",
    "remote.asked": "Sent all {n} items to {workers} workers of {where} because the backend was named.",
    "fallback.no-gain": (
        "Ran the rest in this process from item {item} on: {workers} workers did {rate}, this process alone {alone}."
    ),
}

_PLURAL = re.compile(r"\b1 (item|worker|processe|core)s\b")


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided: a code of the published list, a sentence, and the numbers in it."""

    code: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def seconds_text(seconds: float) -> str:
    """A duration as one reads it: ``840 µs``, ``2.1 ms``, ``0.37 s``, ``12 s``, ``3 min``."""
    if seconds >= 100:
        return f"{seconds / 60:.0f} min"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.1 * size and (unit == "s" or seconds >= size * 0.9995):
            return f"{_two_digits(seconds / size)} {unit}"
    return f"{seconds / 1e-9:.0f} ns" if seconds > 0 else "0 s"


def bytes_text(size: float) -> str:
    """A size in decimal units: ``180 MB``, ``1.9 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{_two_digits(size)} {unit}"
        size /= 1000
    return f"{_two_digits(size)} TB"


def decide(code: str, facts: Mapping[str, Any] | None = None, /, **words: object) -> Decision:
    """A decision with its sentence: ``words`` fill the template, ``facts`` are the bare numbers.

    Without ``facts`` the words themselves are the facts.
    """
    spoken = {name: f"{word:,}" if isinstance(word, int) else word for name, word in words.items()}
    text = _PLURAL.sub(_singular, TEMPLATES[code].format(**spoken))
    return Decision(code, text, dict(words if facts is None else facts))


def _singular(match: re.Match[str]) -> str:
    return "1 " + {"processe": "process"}.get(match[1], match[1])


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"
