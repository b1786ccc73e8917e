"""Decisions of the plan as whole sentences with their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fanwise._format import duration
from fanwise.records._record import record

__all__ = ["TEMPLATES", "Decision", "decide"]

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

_PLURAL = re.compile(r"\b1 (item|worker|processe|core)s\b( that were\b)?")


@record
class Decision:
    """What was decided: a code of the published list, its sentence or the words of it, and the bare numbers in it."""

    code: str
    words: Mapping[str, object] | str
    facts: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The sentence: made when somebody reads it, which most calls never do."""
        if isinstance(self.words, str):
            return self.words
        spoken = {name: _spoken(word) for name, word in self.words.items()}
        return _PLURAL.sub(_singular, TEMPLATES[self.code].format(**spoken))


def decide(code: str, facts: Mapping[str, Any] | None = None, /, **words: object) -> Decision:
    """A decision: ``words`` fill the sentence (a float is a number of seconds), ``facts`` are the bare numbers.

    Without ``facts`` the words themselves are the facts.
    """
    if code not in TEMPLATES:
        raise KeyError(code)
    return Decision(code, words, dict(words if facts is None else facts))


def _spoken(word: object) -> object:
    if isinstance(word, float):
        return duration(word)
    return f"{word:,}" if isinstance(word, int) else word


def _singular(match: re.Match[str]) -> str:
    return f"1 {'process' if match[1] == 'processe' else match[1]}" + (" that was" if match[2] else "")
