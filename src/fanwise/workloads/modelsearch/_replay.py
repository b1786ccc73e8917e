"""After the run: every item that a result rests on is made again from the file and compared bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from fanwise.errors import FanwiseError, InputError
from fanwise.workloads.modelsearch._frame import Frame, Table, digest
from fanwise.workloads.modelsearch._items import Item
from fanwise.workloads.modelsearch._transforms import Floats, values

__all__ = ["DriftError", "check_built", "check_replay"]


class DriftError(FanwiseError):
    """An item does not come out of its recipe as it was used, although its source is the same: a defect."""


def check_replay(frame: Frame, fresh: Table, used: Iterable[int]) -> None:
    """Compare frozen columns with what their recipes make of the file as it is now.

    Parameters
    ----------
    fresh : Table
        The data file, read again.
    used : iterable of int
        Pool numbers of the items that ranked specifications contain.

    Raises
    ------
    InputError
        If the file changed under the run; names file and item.
    DriftError
        If an item differs although the file does not.
    """
    changed = fresh.data_hash != frame.data_hash
    for item, frozen, again in _pairs(frame, fresh, used):
        if len(again) != len(frozen) or again.tobytes() != frozen.tobytes():
            if changed:
                raise InputError(
                    f"{fresh.name} changed during the run: {item} is not what it was; run again with --force"
                )
            raise DriftError(f"{item} does not come out of its recipe as it was used (digest {digest(frozen)})")
    if changed:
        raise InputError(f"{fresh.name} changed during the run; run again with --force")


def _pairs(frame: Frame, fresh: Table, used: Iterable[int]) -> Iterator[tuple[Item, Floats, Floats]]:
    """Item, its column as used, its column made again."""
    whole = len(fresh.time) == frame.sources_length
    rows = np.concatenate([frame.rows, frame.rows_test])
    for index in used:
        item = frame.items[index]
        train, test = frame.free([index])
        yield item, np.concatenate([train[0], test[0]]), _again(item, fresh, rows) if whole else np.empty(0)
    for at, item in enumerate(frame.forced):
        frozen = np.concatenate([frame.fixed[at], frame.fixed_test[at]])
        yield item, frozen, _again(item, fresh, rows) if whole else np.empty(0)


def _again(item: Item, fresh: Table, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    return values(item, fresh.columns[item.variable])[rows]


def check_built(frame: Frame, built: Mapping[int, set[str]]) -> None:
    """Workers that built one item must have built the same column, and so must this process.

    Parameters
    ----------
    built : mapping of int to set of str
        Digests of the columns that workers built, by pool number.

    Raises
    ------
    DriftError
        Names the item.
    """
    for index, digests in built.items():
        train, test = frame.free([index])
        own = digest(np.concatenate([train[0], test[0]]))
        if digests != {own}:
            raise DriftError(
                f"{frame.items[index]} was built differently by different processes: {sorted(digests | {own})}"
            )
