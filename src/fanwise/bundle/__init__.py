"""Frozen data: one copy for every process.

`freeze` copies values into a segment (`_freezing`, `_codecs`, `_segments`, `_layout`), `Bundle` reads them (`_bundle`,
`_reader`, `_views`). A bundle reaches another process by one of three transports (`_transports`), where `resolve`
finds or attaches it (`_attached`, `_table`), or as a file (`_files`).
"""

from fanwise.bundle._attached import accept, forget, mentioned, owner_of, resolve, travelling
from fanwise.bundle._bundle import Bundle
from fanwise.bundle._freezing import freeze
from fanwise.bundle._reader import EntryDescription

__all__ = [
    "Bundle",
    "EntryDescription",
    "accept",
    "forget",
    "freeze",
    "mentioned",
    "owner_of",
    "resolve",
    "travelling",
]
