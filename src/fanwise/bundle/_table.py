"""Which bundles this process has: found by id when a message mentions one, so that each is attached once.

What arrives beside a message waits for the message to mention it. Bundles that were mentioned are kept for the tasks
to come; beyond 16, those not used lately give up their map and what was unpickled from them, and only a descriptor
stays until the owner closes the bundle. So a sender may leave the descriptor out of all later messages.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from fanwise.errors import BundleError

if TYPE_CHECKING:
    from fanwise.bundle._bundle import Bundle

__all__ = ["KEPT", "TABLE", "Parked", "Table"]

KEPT = 16


class Parked(NamedTuple):
    """What stays of a bundle that was kept and not used lately."""

    fd: int
    size: int
    name: str | None


class Table:
    """Bundles by id: all that live, those kept because they were mentioned lately, and those parked.

    Attributes
    ----------
    arrived : dict
        What came and was not mentioned yet: the bundle and whether to keep it, or why it is none.
    """

    def __init__(self, limit: int) -> None:
        self.lock = threading.RLock()
        self.arrived: dict[bytes, tuple[Bundle, bool] | BundleError] = {}
        self._limit = limit
        self._all: weakref.WeakSet[Bundle] = weakref.WeakSet()
        self._live: weakref.WeakValueDictionary[bytes, Bundle] = weakref.WeakValueDictionary()
        self._by_map: weakref.WeakValueDictionary[int, Bundle] = weakref.WeakValueDictionary()
        self._kept: OrderedDict[bytes, Bundle] = OrderedDict()
        self._parked: dict[bytes, Parked] = {}

    def add(self, bundle: Bundle) -> None:
        """Know a new bundle; nothing is kept by this. Of several over one file, the first that is open is found."""
        with self.lock:
            self._all.add(bundle)
            if (mapped := bundle.reader.segment.mapped) is not None:
                self._by_map[id(mapped)] = bundle
            if self.find(bundle.id) is None:
                self._live[bundle.id] = bundle

    def find(self, id: bytes) -> Bundle | None:
        """The open bundle of this id."""
        found = self._live.get(id)
        return None if found is None or found.closed else found

    def over(self, memory: object) -> Bundle | None:
        """The open bundle whose map this is."""
        found = self._by_map.get(id(memory))
        return found if found is not None and not found.closed and found.reader.segment.mapped is memory else None

    def keep(self, bundle: Bundle) -> None:
        """Note that a bundle was mentioned; older ones that nobody uses are parked."""
        with self.lock:
            self._kept[bundle.id] = bundle
            self._kept.move_to_end(bundle.id)
            surplus = len(self._kept) - self._limit
            if surplus > 0:
                for idle in [b for b in self._kept.values() if not b.in_use and b is not bundle][:surplus]:
                    self._park(idle)

    def _park(self, bundle: Bundle) -> None:
        segment = bundle.reader.segment
        with suppress(OSError):  # no descriptor is to be had: then it stays as it is
            self._parked[bundle.id] = Parked(os.dup(segment.descriptor()), segment.size, bundle.name)
            del self._kept[bundle.id]

    def refresh(self, id: bytes) -> None:
        """Note that a kept bundle was mentioned again."""
        with self.lock:
            if id in self._kept:
                self._kept.move_to_end(id)

    def unpark(self, id: bytes) -> Parked | None:
        """Take out what was parked; the descriptor is the caller's."""
        with self.lock:
            return self._parked.pop(id, None)

    def drop(self, id: bytes) -> None:
        """Keep a bundle no longer."""
        with self.lock:
            self.arrived.pop(id, None)
            self._kept.pop(id, None)
            parked = self._parked.pop(id, None)
        if parked is not None:
            os.close(parked.fd)

    def after_fork(self) -> None:
        """Locks may have been held by threads that the child does not have."""
        self.lock = threading.RLock()
        for bundle in list(self._all):
            bundle.after_fork()


TABLE = Table(KEPT)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TABLE.after_fork)
