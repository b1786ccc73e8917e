"""Results kept between calls, processes and runs: the right value or a miss."""

from __future__ import annotations

from fanwise.cache._cache import Cache
from fanwise.cache._code_keys import code_digest
from fanwise.cache._codecs import Codec
from fanwise.cache._keys import Key
from fanwise.cache._memoize import Memoized
from fanwise.cache._reports import Damage, EntryInfo, PruneReport, VerifyReport
from fanwise.cache._stats import CacheStats, Counters

__all__ = [
    "Cache",
    "CacheStats",
    "Codec",
    "Counters",
    "Damage",
    "EntryInfo",
    "Key",
    "Memoized",
    "PruneReport",
    "VerifyReport",
    "code_digest",
]
