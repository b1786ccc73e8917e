"""Decisions of the plan as whole sentences with their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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

_PLURAL = re.compile(r"\b1 (item|worker|processe|core)s\b")


@record
class Decision:
    """What was decided: a code of the published list, a sentence, and the numbers in it."""

    code: str
    text: str
    facts: Mapping[str, Any]


def decide(code: str, facts: Mapping[str, Any] | None = None, /, **words: object) -> Decision:
    """A decision with its sentence: ``words`` fill the template, ``facts`` are the bare numbers.

    Without ``facts`` the words themselves are the facts.
    """
    spoken = {name: f"{word:,}" if isinstance(word, int) else word for name, word in words.items()}
    text = _PLURAL.sub(_singular, TEMPLATES[code].format(**spoken))
    return Decision(code, text, dict(words if facts is None else facts))


def _singular(match: re.Match[str]) -> str:
    return "1 " + {"processe": "process"}.get(match[1], match[1])
