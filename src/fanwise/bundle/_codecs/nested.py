"""A bundle inside a bundle: in memory a handle, in a file its whole image.

Meta: ``name``, and ``handle``, what a `Bundle` pickles to with the id in hex. A file has no ``handle`` and one buffer,
which is the inner bundle as a file of its own.
"""

from __future__ import annotations

from typing import Any

from fanwise.bundle import _attached
from fanwise.bundle._bundle import Bundle
from fanwise.bundle._codecs.parts import Encoded, Part

__all__ = ["decode", "encode"]


def encode(bundle: Any) -> Encoded | None:
    """Refer to a bundle; None for other things."""
    if not isinstance(bundle, Bundle):
        return None
    pid, started, fd, id, size, name = _attached.handle_of(bundle)
    return Encoded("bundle", {"name": bundle.name, "handle": [pid, started, fd, id.hex(), size, name]})


def decode(part: Part) -> Bundle:
    """The bundle, attached from where it lives, or over its image."""
    if "handle" in part.meta:
        pid, started, fd, id, size, name = part.meta["handle"]
        return _attached.borrow(_attached.Handle(pid, started, fd, bytes.fromhex(id), size, name))
    return _attached.over(part.buffer, part.meta["name"], trust=part.trust)
