"""Libraries of linear algebra and their threads, and the optional packages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, metadata
from importlib.util import find_spec

from fanwise.cli._doctor.finding import Finding

__all__ = ["look"]

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
_NAME, _EXTRA = re.compile(r"[A-Za-z0-9_.-]+"), re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
_TOGETHER = "all"


def look(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Linear algebra first, then a line for each extra."""
    yield linear_algebra(environ)
    try:
        required = metadata.requires("fanwise") or []
    except metadata.PackageNotFoundError:
        yield Finding("extras", "not known: fanwise runs from its source", "note", "pip install -e .")
        return
    for extra, names in extras(required).items():
        yield optional(extra, names)


def linear_algebra(environ: Mapping[str, str]) -> Finding:
    """Threads of BLAS and OpenMP: what threadpoolctl says, else what the environment asks for."""
    told = {name: environ[name] for name in _VARIABLES if environ.get(name)}
    said = ", ".join(f"{name}={value}" for name, value in told.items())
    if find_spec("threadpoolctl") is None or find_spec("numpy") is None:
        return Finding("linear algebra", said or "threads: as many as cores", facts={"environment": told})
    import_module("numpy")  # loads the library that is asked about
    pools = import_module("threadpoolctl").threadpool_info()
    each = [
        f"{pool['internal_api']} {pool.get('version') or ''}".strip() + f", {pool['num_threads']} threads"
        for pool in pools
    ]
    facts = {"environment": told, "libraries": [{k: p[k] for k in ("internal_api", "num_threads")} for p in pools]}
    return Finding("linear algebra", "; ".join(filter(None, [*each, said])) or "none is loaded", facts=facts)


def extras(required: Sequence[str]) -> dict[str, list[str]]:
    """Packages of each extra, from the requirements of a distribution; references of extras to each other are left out."""
    found: dict[str, list[str]] = {}
    for requirement in required:
        name, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        if name and extra and extra[1] != _TOGETHER and name[0] != "fanwise":
            found.setdefault(extra[1], []).append(name[0])
    return found


def optional(extra: str, names: Sequence[str]) -> Finding:
    """Whether the packages of an extra are there."""
    versions = {name: _version(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    said = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if missing:
        said = "; ".join(filter(None, [said, f"without {', '.join(missing)}"]))
        return Finding(f"extra {extra}", said, "note", f"pip install 'fanwise[{extra}]'", versions)
    return Finding(f"extra {extra}", said, facts=versions)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
