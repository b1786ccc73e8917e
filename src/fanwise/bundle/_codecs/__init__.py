"""Taking values apart into raw buffers, and putting them together over such buffers: one module a family."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fanwise.bundle._codecs import pickles
from fanwise.bundle._codecs.parts import Encoded, Part

__all__ = ["decode", "encode", "is_known"]

_HERE = __name__

# Which module takes apart what: by the package a class comes from, so that none is imported for nothing.
_ENCODERS = {
    "array": ("raw", "encode"),
    "builtins": ("raw", "encode"),
    "fanwise": ("nested", "encode"),
    "numpy": ("arrays", "encode"),
    "pandas": ("frames", "encode"),
    "polars": ("arrow", "encode_polars"),
    "pyarrow": ("arrow", "encode_pyarrow"),
    "scipy": ("sparse", "encode"),
}
_DECODERS = {
    "bundle": "nested",
    "bytes": "raw",
    "ndarray": "arrays",
    "pandas": "frames",
    "pickle": "pickles",
    "polars": "arrow",
    "pyarrow": "arrow",
    "scipy": "sparse",
}


def encode(value: object) -> Encoded:
    """Take any value apart."""
    module, function = _ENCODERS.get(type(value).__module__.partition(".")[0], ("pickles", "encode"))
    encoded: Encoded | None = getattr(import_module(f"{_HERE}.{module}"), function)(value)
    return pickles.encode(value) if encoded is None else encoded


def is_known(kind: str) -> bool:
    """Whether a codec reads this kind."""
    return kind.partition(".")[0] in _DECODERS


def decode(part: Part) -> Any:
    """Put a value together over its buffers.

    Raises
    ------
    UntrustedPickleError
        If a part of it is a pickle and it is not trusted. Contents that are not are also checked as far as
        compiled code will rely on them.
    """
    module = import_module(f"{_HERE}.{_DECODERS[part.kind.partition('.')[0]]}")
    return module.decode(part)
