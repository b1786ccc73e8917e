"""What a search is: the hash of everything its results depend on, section by section."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fanwise.workloads.modelsearch._config import Config

__all__ = ["Identity", "canonical", "identity_of"]


@dataclass(frozen=True, slots=True)
class Identity:
    """``sections`` are hashes by name; ``run_key`` is the hash of them all."""

    sections: Mapping[str, str]

    @property
    def run_key(self) -> str:
        return _hash(self.sections)

    @property
    def config_hash(self) -> str:
        """Of the configuration alone."""
        return _hash({name: value for name, value in self.sections.items() if name.startswith("[")})

    def record_key(self, mode: str) -> bytes:
        """16 bytes that a chunk's record carries; ``mode`` is what else its content depends on."""
        return bytes.fromhex(_hash([self.run_key, mode]))

    def changed(self, before: Mapping[str, str]) -> list[str]:
        """Names of sections that are not what they were."""
        return [name for name in self.sections if before.get(name) != self.sections[name]]


def identity_of(config: Config, data_hash: str, version: str) -> Identity:
    """Hash a configuration, the data it uses, and the versions of what computes."""
    sections = {f"[{name}]": _hash(value) for name, value in canonical(config).items()}
    versions = {"fanwise": version, "numpy": np.__version__}
    return Identity({**sections, "the data": data_hash, "the version of fanwise or NumPy": _hash(versions)})


def canonical(config: Config) -> dict[str, Any]:
    """The configuration as plain values, without what cannot change a result: where its files are."""
    sections = {field.name: _plain(getattr(config, field.name)) for field in fields(config) if field.name != "path"}
    del sections["data"]["file"]
    return sections


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not hasattr(value, "transform") and not hasattr(value, "chosen"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in sorted(value.items())}
    return value if isinstance(value, int | float | str | None) and not isinstance(value, Path) else str(value)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
