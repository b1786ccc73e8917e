"""Bundles on their way to workers and back: a descriptor beside the message, once per worker, and their id in it."""

from __future__ import annotations

from collections.abc import Callable

from fanwise.backends.process import forget_attachment, register_attachment, register_resolver
from fanwise.bundle import Bundle, accept, forget, freeze, mentioned, travelling
from fanwise.typing import Attachment

__all__ = ["Bundle", "found", "freeze"]


def found(*ids: bytes) -> Bundle:
    """The bundle that a message mentions. Loading this function is what makes a new worker ready for bundles."""
    return mentioned(*ids)


def _reduced(bundle: Bundle) -> tuple[list[Attachment], tuple[Callable[..., Bundle], tuple[bytes, ...]]]:
    attachments, (_, ids) = travelling(bundle)
    for part in (bundle, *bundle.companions):
        part.when_closed(forget_attachment)
    return attachments, (found, ids)


register_attachment(Bundle, _reduced)
register_resolver(accept, forget)
