"""`make dist`: what was built installs and works in an empty environment, wheel and source alike, and is made the same twice.

Uses the package index, as a user's installation does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGEST = 3_000_000
USE = (
    ("fanwise", "--version"),
    ("fanwise", "help", "files"),
    ("fanwise", "doctor", "--cache-dir", "cache"),
    ("fanwise", "demo", "--only", "ci", "--out", "demo"),
    ("fanwise", "report", "run.json", "--html", "run.html"),
)
WRITE = "import fanwise; open('run.json', 'w').write(fanwise.run(abs, [-1, 2]).report.to_json())"


def main(folder: Path) -> int:
    """Check every file in ``folder``; the first command that fails ends it."""
    built = sorted(folder.glob("fanwise-*"))
    assert [path.name.endswith(".whl") for path in built] == [True, False], built
    assert built[0].stat().st_size <= LARGEST, f"{built[0].name} is larger than {LARGEST:,} bytes"
    with tempfile.TemporaryDirectory() as empty:
        assert digest(built[0]) == digest(rebuilt(Path(empty))), "two builds differ"
        for number, path in enumerate(built):
            try_out(path, Path(empty, str(number)))
            print(f"{path.name}: installs and works")
    return 0


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def rebuilt(folder: Path) -> Path:
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(words, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def try_out(path: Path, folder: Path) -> None:
    """Install into a fresh environment and use it from an empty folder."""
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / "bin"
    place = folder / "place"
    place.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FANWISE"))}

    def run(*words: str) -> None:
        subprocess.run(
            [str(programs / words[0]), *words[1:]], cwd=place, env=clean, check=True, stdout=subprocess.DEVNULL
        )

    run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{path}[ci]")
    run("python", "-c", WRITE)
    for words in USE:
        run(*words)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()))
