"""What a worker knows: configuration, space and the projected data, as views that nobody can write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._filters import demanded_signs
from fanwise.workloads.modelsearch._frame import Frame
from fanwise.workloads.modelsearch._multiplicity import Weights, weights
from fanwise.workloads.modelsearch._project import Base, Pool, base_of, pool_of
from fanwise.workloads.modelsearch._space import Indices, Space
from fanwise.workloads.modelsearch._transforms import Floats
from fanwise.workloads.modelsearch._windows import Window, origins, parts, windows_of

__all__ = ["SearchContext", "context_of", "from_arrays", "to_arrays"]

Arrays = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class SearchContext:
    """Everything that verdicts depend on.

    ``whole`` is the projected pool with its Gram, or None when each chunk projects the items it needs.
    ``forced_only`` are the squared test errors of the model without free items, in units of the target;
    ``demanded`` the sign that each free item must have, ``tested`` whether its p-value counts.
    """

    config: Config
    frame: Frame
    space: Space
    base: Base
    whole: Pool | None
    walk: list[Window]
    windows: list[Window]
    weights: Weights | None
    forced_only: Floats
    demanded: NDArray[np.int8]
    tested: NDArray[np.bool_]
    tried: int

    def local(self, indices: Indices) -> tuple[Pool, Indices]:
        """A pool that has these items, and the specifications in its numbering."""
        if self.whole is not None:
            return self.whole, indices
        used, within = np.unique(indices, return_inverse=True)
        return pool_of(self.base, *self.frame.free(used.tolist()), used), within.reshape(indices.shape)


def context_of(config: Config, frame: Frame, *, tried: int | None = None) -> SearchContext:
    """Project everything once.

    Parameters
    ----------
    tried : int, optional
        How many specifications the search goes through; all of the space if left out.
    """
    base = base_of(frame.y, frame.fixed, frame.y_test, frame.fixed_test)
    whole = None if frame.pool is None or frame.pool_test is None else pool_of(base, frame.pool, frame.pool_test)
    return _context(config, frame, base, whole, tried)


def _context(config: Config, frame: Frame, base: Base, whole: Pool | None, tried: int | None) -> SearchContext:
    space = Space(config, frame)
    n, rank = len(frame.y), config.rank
    walk = [] if rank.walk_forward is None else origins(n, rank.walk_forward.min_train, rank.walk_forward.step)
    return SearchContext(
        config=config,
        frame=frame,
        space=space,
        base=base,
        whole=whole,
        walk=windows_of(frame.y, frame.fixed, walk),
        windows=windows_of(frame.y, frame.fixed, parts(n, rank.windows)),
        weights=weights(config.multiplicity, len(frame.y_test)),
        forced_only=(base.y_ahead * base.y_norm) ** 2,
        demanded=demanded_signs(config.filters, frame.items),
        tested=np.array([item not in set(config.filters.p_exempt) for item in frame.items], dtype=bool),
        tried=space.count() if tried is None else tried,
    )


def to_arrays(context: SearchContext) -> dict[str, Any]:
    """The context as named arrays and one small plain object, for a bundle."""
    records: dict[str, Frame | Base | Pool] = {"frame": context.frame, "base": context.base}
    if context.whole is not None:
        records["whole"] = context.whole
    arrays: dict[str, Any] = {}
    plain: dict[str, Any] = {"config": context.config, "tried": context.tried, "records": {}}
    for name, record in records.items():
        values = {field.name: getattr(record, field.name) for field in fields(record)}
        arrays |= {f"{name}.{key}": value for key, value in values.items() if isinstance(value, np.ndarray)}
        plain["records"][name] = {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}
    sources = plain["records"]["frame"].pop("sources")
    arrays |= {f"sources.{name}": column for name, column in sources.items()}
    return {**arrays, "plain": plain}


def from_arrays(arrays: Arrays) -> SearchContext:
    """The context again, over the arrays of a bundle as they are."""
    plain = arrays["plain"]

    def record(name: str) -> dict[str, Any]:
        inside = {key.partition(".")[2]: arrays[key] for key in arrays if key.startswith(f"{name}.")}
        return {**plain["records"][name], **inside}

    sources = {key.partition(".")[2]: arrays[key] for key in arrays if key.startswith("sources.")}
    frame = Frame(**record("frame"), sources=sources)
    whole = Pool(**record("whole")) if "whole" in plain["records"] else None
    return _context(plain["config"], frame, Base(**record("base")), whole, plain["tried"])
