"""A million operations against damage and kills: ``python -m tests.soak.cache_storm [--operations N] [--backend B]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.cache_storm import storm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--backend", choices=["index", "files"], default="index")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache"
        happened = storm(path, chosen.backend, operations=chosen.operations, each=5_000, seed=chosen.seed)
    print(asdict(happened), f"{time.perf_counter() - began:.0f} s")
    return int(happened.wrong > 0 or happened.failures > 0)


if __name__ == "__main__":
    sys.exit(main())
