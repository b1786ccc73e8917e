"""Words that messages offer when a name is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = ["did_you_mean", "listed"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean A, B or C?`` with the three nearest names, or what there is if none is near."""
    names = {name.casefold(): name for name in known}
    near = [names[name] for name in difflib.get_close_matches(word.casefold(), names, 3, 0.5)]
    if not near:
        return f"; there are {listed(sorted(names.values())[:12])}" if names else ""
    return f"; did you mean {listed(near, 'or')}?"


def listed(names: Sequence[str], last: str = "and") -> str:
    """``A, B and C``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}" if names else "none"
