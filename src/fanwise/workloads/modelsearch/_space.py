"""The space of specifications: counted, numbered and walked without ever being listed.

A specification is a strictly increasing tuple of pool numbers; the order is by size, then lexicographic. All rests on

    C(p, r, u, v) = completions of a specification that may still take r items at positions ≥ p,
                    with u taken from p's group and v from p's variable:
    C(p, r, u, v) = [r ≥ 1, u < max, v < cap] · C(p+1, r−1, u+1, v+1) + C(p+1, r, u, v)

where u (v) begins at 0 again when p+1 starts another group (variable), and a group left with u < min gives 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError
from fanwise.workloads.modelsearch._config import Config, Group
from fanwise.workloads.modelsearch._items import Item, parse_item

__all__ = ["Block", "Space", "pool_order"]

Indices = NDArray[np.int64]
State = tuple[int, int, int]  # position, taken from its group, taken from its variable


class HasItems(Protocol):
    """What a space asks of a frame."""

    @property
    def items(self) -> tuple[Item, ...]:
        """The free items that are left, in pool order."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Specifications of one size: ``indices[i]`` are the pool numbers of ``ids[i]``."""

    ids: Indices
    indices: Indices

    def __len__(self) -> int:
        return len(self.ids)


def pool_order(groups: Sequence[Group]) -> list[Item]:
    """Groups as in the file; variables by first appearance in their group; items in order of expansion."""
    pool: list[Item] = []
    for group in groups:
        by_variable: dict[str, list[Item]] = {}
        for item in group.items:
            by_variable.setdefault(item.variable, []).append(item)
        pool += [item for items in by_variable.values() for item in items]
    return pool


class Space:
    """Every allowed specification, by number.

    Parameters
    ----------
    config : Config
        Groups, picks, cap per variable and sizes.
    frame : Frame
        Its ``items`` are the pool.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from fanwise.workloads import modelsearch
    >>> config = modelsearch.load_config(files("fanwise") / "_demo" / "macro" / "search.toml")
    >>> space = Space(config, modelsearch.prepare(config))
    >>> space.terms(112_990), space.find("unemp:LV")
    ('unemp:DF(4)@2;pop:DLOG(4)@1;realgovt:GR(4)@2;realint:LV@2', 12)
    """

    def __init__(self, config: Config, frame: HasItems) -> None:
        search = config.search
        self.items = frame.items
        self.groups = search.groups
        self.min_terms, self.max_terms = search.min_terms, search.max_terms
        home = {item.variable: at for at, group in enumerate(search.groups) for item in group.items}
        self._group = [home[item.variable] for item in self.items]
        self._pick = [(low, min(high, search.max_terms)) for low, high in (group.pick for group in search.groups)]
        self._cap = search.per_variable
        self._group_end = _run_ends(self._group)
        self._variable_end = _run_ends([item.variable for item in self.items])
        self._rest_is_free = self._groups_after_are_free()
        self._table = self._count_all()
        self.sizes = {r: self._completions((0, 0, 0), r) for r in range(self.min_terms, self.max_terms + 1)}
        if self._unreachable():
            self.sizes = dict.fromkeys(self.sizes, 0)

    def _unreachable(self) -> bool:
        """A group that demands items and has none left makes the space empty."""
        return any(low > 0 and group not in set(self._group) for group, (low, _) in enumerate(self._pick))

    def _groups_after_are_free(self) -> list[bool]:
        present = sorted(set(self._group))
        return [
            all(self._pick[later][0] == 0 for later in present if later > group) for group in range(len(self._pick))
        ]

    def _count_all(self) -> list[list[list[list[int]]]]:
        """``table[p][r][u][v]``, filled from the end of the pool."""
        table: list[list[list[list[int]]]] = [[] for _ in self.items]
        self._table = table
        caps = range((self._cap or 0) + 1)
        for p in reversed(range(len(self.items))):
            high = self._pick[self._group[p]][1]
            table[p] = [
                [[self._taking((p, u, v), r) + self._skipping((p, u, v), r) for v in caps] for u in range(high + 1)]
                for r in range(self.max_terms + 1)
            ]
        return table

    def _taking(self, state: State, r: int) -> int:
        """Completions that take the item at the state's position."""
        p, u, v = state
        if r < 1 or u >= self._pick[self._group[p]][1] or (self._cap and v >= self._cap):
            return 0
        return self._beyond(p, u + 1, v + 1 if self._cap else 0, r - 1)

    def _skipping(self, state: State, r: int) -> int:
        return self._beyond(*state, r)

    def _beyond(self, p: int, u: int, v: int, r: int) -> int:
        after = self._step(p, u, v)
        return 0 if after is None else self._completions(after, r)

    def _step(self, p: int, u: int, v: int) -> State | None:
        """The state at p+1; None if p's group ends with too few items."""
        if p + 1 == self._group_end[p]:
            return (p + 1, 0, 0) if u >= self._pick[self._group[p]][0] else None
        return (p + 1, u, 0 if p + 1 == self._variable_end[p] else v)

    def _completions(self, state: State, r: int) -> int:
        p, u, v = state
        return int(r == 0) if p == len(self.items) else self._table[p][r][u][v]

    def count(self) -> int:
        """How many specifications there are."""
        return sum(self.sizes.values())

    def __len__(self) -> int:
        return self.count()

    def unrank(self, i: int) -> tuple[int, ...]:
        """The pool numbers of specification ``i``.

        Raises
        ------
        IndexError
            If ``i`` is not between 0 and ``count() - 1``.
        """
        left = i
        for r, size in self.sizes.items():
            if 0 <= left < size:
                return self._unrank_within(left, r)
            left -= size
        raise IndexError(f"there is no specification {i:,}: ids run from 0 to {self.count() - 1:,}")

    def _unrank_within(self, left: int, r: int) -> tuple[int, ...]:
        taken: list[int] = []
        state: State | None = (0, 0, 0)
        while r and state is not None:
            here = self._taking(state, r)
            p, u, v = state
            if left < here:
                taken.append(p)
                r -= 1
                state = self._step(p, u + 1, v + 1 if self._cap else 0)
            else:
                left -= here
                state = self._step(p, u, v)
        return tuple(taken)

    def rank(self, indices: Iterable[int]) -> int:
        """The number of the specification with these pool numbers (the inverse of `unrank`).

        Raises
        ------
        ValueError
            If the space does not contain it.
        """
        wanted = tuple(int(p) for p in indices)
        r = len(wanted)
        before = sum(size for smaller, size in self.sizes.items() if smaller < r)
        state: State | None = (0, 0, 0) if self.sizes.get(r) else None
        for p in wanted:
            while state is not None and state[0] < p:
                before += self._taking(state, r)
                state = self._step(*state)
            if state is None or state[0] != p or not self._taking(state, r):
                raise ValueError(f"no specification of this search takes the items {wanted}")
            r -= 1
            state = self._step(p, state[1] + 1, state[2] + 1 if self._cap else 0)
        if state is None:
            raise ValueError(f"no specification of this search takes the items {wanted}")
        return before

    def contains(self, indices: Iterable[int]) -> bool:
        """Whether there is a specification with these pool numbers."""
        try:
            self.rank(indices)
        except ValueError:
            return False
        return True

    def terms(self, i: int) -> str:
        """Specification ``i`` as its items joined with ``;``."""
        return self.label(self.unrank(i))

    def label(self, indices: Iterable[int]) -> str:
        return ";".join(str(self.items[p]) for p in indices)

    def find(self, terms: str) -> int:
        """The number of the specification written as ``item;item``, in any order.

        Raises
        ------
        InputError
            If an item is not in the pool or the combination is not in the space.
        """
        place = {item: at for at, item in enumerate(self.items)}
        wanted = [parse_item(term) for term in terms.split(";") if term.strip()]
        for item in wanted:
            if item not in place:
                raise InputError(f'"{terms}": {item} is not in the pool')
        try:
            return self.rank(sorted(place[item] for item in wanted))
        except ValueError:
            raise InputError(f'"{terms}" is not a specification of this search (see its picks and sizes)') from None

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        for block in self.blocks(0, self.count()):
            yield from map(tuple, block.indices.tolist())

    def blocks(self, first: int, stop: int, size: int = 1 << 14) -> Iterator[Block]:
        """Specifications ``first … stop-1`` as arrays, cut where their size changes and after ``size`` rows."""
        below = 0
        for r, many in self.sizes.items():
            low, high = max(first, below), min(stop, below + many)
            for start in range(low, high, size):
                count = min(size, high - start)
                rows = self._array(self._unrank_within(start - below, r), count)
                yield Block(np.arange(start, start + count), rows)
            below += many

    def pick(self, ids: Iterable[int]) -> Iterator[Block]:
        """Specifications with these ids as arrays, those of one size together."""
        by_size: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
        for i in ids:
            indices = self.unrank(int(i))
            by_size.setdefault(len(indices), []).append((int(i), indices))
        for r, found in by_size.items():
            rows = np.array([indices for _, indices in found], dtype=np.int64).reshape(len(found), r)
            yield Block(np.array([i for i, _ in found], dtype=np.int64), rows)

    def _array(self, start: tuple[int, ...], count: int) -> Indices:
        """The specification ``start`` and its successors of the same size, ``count`` in all."""
        rows = np.empty((count, len(start)), dtype=np.int64)
        if not start:
            return rows
        filled = 0
        for prefix, last in self._runs(start):
            take = min(len(last), count - filled)
            rows[filled : filled + take, :-1] = prefix
            rows[filled : filled + take, -1] = last[:take]
            filled += take
            if filled == count:
                break
        return rows

    def _runs(self, start: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Indices]]:
        """All but the last item, and every last item that completes them, from ``start`` on."""
        for prefix, state in self._prefixes((), (0, 0, 0), start[:-1], len(start) - 1):
            last = self._last(state)
            yield prefix, last[last >= start[-1]] if prefix == start[:-1] else last

    def _prefixes(
        self, prefix: tuple[int, ...], state: State, begin: tuple[int, ...], depth: int
    ) -> Iterator[tuple[tuple[int, ...], State]]:
        if not depth:
            yield prefix, state
            return
        after: State | None = state
        while after is not None and after[0] < len(self.items):
            p, u, v = after
            if p >= (begin[0] if begin else 0) and self._taking(after, depth + 1):
                inside = self._step(p, u + 1, v + 1 if self._cap else 0)
                if inside is not None:
                    yield from self._prefixes((*prefix, p), inside, begin[1:] if begin[:1] == (p,) else (), depth - 1)
            after = self._step(p, u, v)

    def _last(self, state: State) -> Indices:
        """Every position that completes a specification with one item missing."""
        p, u, v = state
        spans = [np.empty(0, dtype=np.int64)]
        while p < len(self.items):
            low, high = self._pick[self._group[p]]
            end = self._group_end[p]
            if u < high and u + 1 >= low and self._rest_is_free[self._group[p]]:
                spans.append(np.arange(self._variable_end[p] if self._cap and v >= self._cap else p, end))
            if u < low:
                break
            p, u, v = end, 0, 0
        return np.concatenate(spans)


def _run_ends(labels: Sequence[object]) -> list[int]:
    """For each position, where the run of equal labels that it belongs to ends."""
    ends = [0] * len(labels)
    end = len(labels)
    for p in reversed(range(len(labels))):
        if p + 1 < len(labels) and labels[p + 1] != labels[p]:
            end = p + 1
        ends[p] = end
    return ends
