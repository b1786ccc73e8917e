"""Lines of a text, and which of them a rule needs to look at.

One pass of an Aho-Corasick automaton over the folded bytes finds all literals of all rules: 0.037 s for 157 literals in
11.6 MB, against 0.351 s for `bytes.find` in a loop. Without the package the loop gives the same lines.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from heapq import merge
from itertools import accumulate

from fanwise.workloads.auditscan._decode import Decoded

__all__ = ["Finder", "Lines", "finder_for"]

HIDDEN = "###"

# Under IGNORECASE these four match an ASCII letter: İ and ı match i, ſ matches s, the Kelvin sign matches k.
_FOLDING = ("\u0130", "\u0131", "\u017f", "\u212a")

Finder = Callable[[bytes], list[list[int]]]
"""Offsets of each literal in folded bytes, ascending, one list a literal."""


def finder_for(literals: Sequence[str], *, automaton: bool = True) -> Finder:
    """A finder for these literals (lower-case ASCII, not empty)."""
    needles = [literal.encode("ascii") for literal in literals]
    build = _automaton_class() if automaton and needles else None
    if build is None:
        return lambda folded: [list(_offsets(folded, needle)) for needle in needles]
    machine = build(needles)

    def find(folded: bytes) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in needles]
        for which, start, _ in machine.find_matches_as_indexes(folded, overlapping=True):
            found[which].append(start)
        return found

    return find


def _automaton_class() -> type | None:
    try:
        from ahocorasick_rs import BytesAhoCorasick
    except ImportError:
        return None
    automaton: type = BytesAhoCorasick
    return automaton


def _offsets(folded: bytes, needle: bytes) -> Iterator[int]:
    """At most one offset a line: after a hit the search goes on at the next line."""
    at = folded.find(needle)
    while at >= 0:
        yield at
        line_end = folded.find(b"\n", at)
        at = folded.find(needle, line_end + 1) if line_end >= 0 else -1


class Lines:
    r"""The lines of a text, each with its final ``\n`` if it has one, and indexes into them."""

    def __init__(self, decoded: Decoded) -> None:
        self._decoded = decoded
        # Not splitlines: it also cuts at U+000B, U+000C, U+001C to U+001E, U+0085, U+2028 and U+2029.
        self.texts = io.StringIO(decoded.text, newline="\n").readlines()

    @cached_property
    def visible(self) -> list[int]:
        """Every line but those that contain ``###``."""
        return [n for n, text in enumerate(self.texts) if HIDDEN not in text]

    @cached_property
    def _starts(self) -> list[int]:
        """Byte offset of each line in the folded bytes."""
        folded = self._decoded.folded
        one_byte_each = len(folded) == len(self._decoded.text)
        lines: Iterable[str | bytes] = self.texts if one_byte_each else folded.splitlines(keepends=True)
        return list(accumulate(map(len, lines), initial=0))

    @cached_property
    def _folding(self) -> list[int]:
        """Lines that may match an ASCII literal without containing it."""
        folded, text = self._decoded.folded, self._decoded.text
        present = [letter.encode() for letter in _FOLDING if letter in text]  # ten times faster than to look for bytes
        return sorted({n for letter in present for n in self._at(_offsets(folded, letter))})

    def _at(self, offsets: Iterable[int]) -> Iterator[int]:
        """The line of each byte offset."""
        starts = self._starts
        return (bisect_right(starts, offset) - 1 for offset in offsets)

    def containing(self, literal: str) -> Iterator[int]:
        """Lines, ascending, that contain a literal or a letter that folds to an ASCII one; hidden ones too."""
        return merge(self._at(_offsets(self._decoded.folded, literal.encode("ascii"))), self._folding)

    def candidates(self, offsets: Iterable[Iterable[int]]) -> list[int]:
        """Visible lines, ascending, with one of the literals at these offsets, or such a letter."""
        texts = self.texts
        found = {n for one in offsets for n in self._at(one)}
        return [n for n in sorted(found.union(self._folding)) if HIDDEN not in texts[n]]
