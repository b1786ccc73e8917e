"""Everything of a scan that touches files: finding and reading audit files, rules, the journal, outputs."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import shutil
import stat
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

from fanwise._claims import claim
from fanwise.errors import InputError, UsageError
from fanwise.workloads.auditscan._decode import Decoded, NotText, decode
from fanwise.workloads.auditscan._diff import Key, read_results
from fanwise.workloads.auditscan._model import RuleSet
from fanwise.workloads.auditscan._ruleset import assemble
from fanwise.workloads.auditscan._samples import FAMILIES_IN_TURN, sample
from fanwise.workloads.auditscan._spool import Spooled, pack_head, unpack
from fanwise.workloads.auditscan._writing import all_names

__all__ = [
    "Journal",
    "Outputs",
    "Source",
    "SpoolFile",
    "example_rules",
    "find_sources",
    "load_rules",
    "read_audit",
    "read_bytes",
    "read_jsonl",
    "refuse_earlier",
    "remove_journal",
    "remove_stale",
    "sha256_of",
    "why",
    "write_samples",
]


def why(error: OSError) -> str:
    """What the system says of a failed call, in its own words."""
    return (error.strerror or str(error)).lower()


def load_rules(path: str | os.PathLike[str], *, compat: str | None = None) -> RuleSet:
    """Read a rule file with its includes, or all rule files of a folder.

    Parameters
    ----------
    path : path
        A YAML file, or a folder whose ``*.yaml`` and ``*.yml`` are read in name order.
    compat : {None, "kpat"}
        ``"kpat"`` reads them as KP Analysis Toolkit 2.1.3 does.

    Returns
    -------
    RuleSet

    Raises
    ------
    fanwise.errors.InputError
        With one line a problem: file, line, rule, and what is expected.

    Examples
    --------
    >>> import fanwise.workloads.auditscan as auditscan
    >>> len(auditscan.load_rules(auditscan.example_rules()).rules) >= 25
    True
    """
    place = os.fspath(path)
    if not os.path.isdir(place):
        return assemble([place], os.path.dirname(place) or ".", _read_text, compat=compat)
    names = sorted(name for name in os.listdir(place) if name.endswith((".yaml", ".yml")))
    if not names:
        raise InputError(f"{place}: no rule files (*.yaml, *.yml) in this folder")
    return assemble([os.path.join(place, name) for name in names], place, _read_text, compat=compat)


def example_rules() -> Path:
    """Where the example rules are: a rule file that includes the others, free to be copied and changed."""
    return Path(__file__).parents[2] / "_demo" / "auditscan" / "all.yaml"


def write_samples(
    folder: str | os.PathLike[str], systems: int = 3, *, kilobytes: int = 64, seed: int = 0
) -> list[Path]:
    """Write made-up audit files, Linux, Windows and macOS in turn.

    Parameters
    ----------
    folder : path
        Created if need be.
    systems : int
        Number of files.
    kilobytes : int
        Least size of each.
    seed : int
        The same seed gives the same bytes.

    Returns
    -------
    list of Path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_samples(folder)]
    ['linux-001.txt', 'windows-002.txt', 'darwin-003.txt']
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(systems):
        family = FAMILIES_IN_TURN[number % len(FAMILIES_IN_TURN)]
        name = f"{family.lower()}-{number + 1:03}"
        paths.append(place / f"{name}.txt")
        paths[-1].write_bytes(sample(family, name, kilobytes, seed))
    return paths


def _read_text(path: str) -> str:
    return read_bytes(path).decode("utf-8-sig")


def read_bytes(path: str) -> bytes:
    """The content of a regular file. Opening a named pipe would wait for a writer for ever."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "not a regular file")
        return file.read()


def read_audit(path: str, encoding: str | None, compat: str | None) -> Decoded:
    """One audit file as text.

    Raises
    ------
    InputError
        If it cannot be read or is no text.
    """
    try:
        return decode(read_bytes(path), encoding, compat=compat)
    except OSError as error:
        raise InputError(f"cannot read {path}: {why(error)}") from error
    except NotText as verdict:
        raise InputError(f"{path}: {verdict.reason}") from None


def read_jsonl(path: str) -> Counter[Key]:
    """Results of an earlier scan: a ``results.jsonl``, or the folder that holds one.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    name = os.path.join(path, "results.jsonl") if os.path.isdir(path) else path
    try:
        with open(name, encoding="utf-8", newline="\n") as file:
            return read_results(file, name)
    except OSError as error:
        raise InputError(f"cannot read {name}: {why(error)}") from error
    except UnicodeDecodeError:
        raise InputError(f"{name}: not UTF-8") from None


def sha256_of(path: str) -> str | None:
    """Digest of a file; None if it cannot be read (the search will say why)."""
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Source:
    """An audit file to be read.

    ``shown`` is its name in results; ``named`` is True if it was on the command line itself; ``status`` is ``failed``
    or ``skipped`` if there is nothing to read, and ``reason`` says why.
    """

    path: str
    shown: str
    named: bool = False
    size: int = 0
    status: str = ""
    reason: str = ""


def find_sources(paths: Sequence[str | os.PathLike[str]], glob: str = "*.txt") -> list[Source]:
    """Files to scan: in the order of ``paths``, those of a folder by their relative path; each real file once.

    Raises
    ------
    InputError
        If a path does not exist, or a folder has no file that matches.
    """
    found: dict[str, Source] = {}
    for given in paths:
        path = os.fsdecode(given)
        if os.path.isdir(path):
            inside = _inside(path, glob)
        elif os.path.lexists(path):
            inside = [_source(path, os.path.basename(path), named=True)]
        else:
            raise InputError(f"cannot read {path}: no such file")
        for source in inside:
            found.setdefault(os.path.realpath(source.path), source)
    return list(found.values())


def _inside(folder: str, glob: str) -> list[Source]:
    """Files of a folder sorted by relative path; what is behind symbolic links to folders is left out."""
    unreadable: list[OSError] = []
    names = []
    for at, _, files in os.walk(folder, onerror=unreadable.append):
        relative = os.path.relpath(at, folder)
        for name in files:
            inside = name if relative == "." else f"{relative}/{name}"
            if fnmatch.fnmatchcase(inside if "/" in glob else name, glob):
                names.append(inside)
    sources = [_source(os.path.join(folder, name), name, named=False) for name in names]
    for error in unreadable:
        path = os.fspath(error.filename)
        sources.append(Source(path, _shown(os.path.relpath(path, folder)), False, 0, "failed", why(error)))
    if not sources:
        raise InputError(f"no files match '{glob}' under {folder}")
    return sorted(sources, key=lambda source: source.shown)


def _shown(name: str) -> str:
    """A file name as text that can be written; bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def _source(path: str, shown: str, *, named: bool) -> Source:
    name = _shown(shown)
    try:
        facts = os.stat(path)
    except OSError as error:
        return Source(path, name, named, 0, "failed", why(error))
    if stat.S_ISREG(facts.st_mode):
        return Source(path, name, named, facts.st_size)
    return Source(path, name, named, 0, "skipped", f"not a regular file ({_kind(facts.st_mode)})")


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISDIR, "directory"))
    return next((word for is_kind, word in kinds if is_kind(mode)), "device")


class SpoolFile:
    """Part of a spooled file on disk, read when asked for. Travels between processes as a path."""

    def __init__(self, path: str, base: int, keep: object = None) -> None:
        self._path, self._base = path, base
        self._keep = keep  # a temporary folder lives as long as something points into it

    def __call__(self, offset: int, length: int) -> bytes:
        with open(self._path, "rb") as file:
            file.seek(self._base + offset)
            return file.read(length)

    def __reduce__(self) -> tuple[type[SpoolFile], tuple[str, int]]:
        return SpoolFile, (self._path, self._base)


class Journal:
    """A folder that keeps each finished file until the outputs are written.

    Parameters
    ----------
    folder : str or None
        None: a temporary one, removed when nothing refers to it any more.
    identity : mapping
        All that decides results besides the bytes of the files.
    """

    _HEAD = "journal.json"

    def __init__(self, folder: str | None, identity: Mapping[str, object]) -> None:
        self._temporary = folder is None
        self.folder = tempfile.mkdtemp(prefix=f"fanwise-scan-{os.getpid()}-") if folder is None else folder
        if self._temporary:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        else:
            self._claim(identity)

    def _claim(self, identity: Mapping[str, object]) -> None:
        """Take the folder for this identity, or refuse it."""
        head = os.path.join(self.folder, self._HEAD)
        with _said_which(self.folder):
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            if os.name == "posix":
                _check_owner(self.folder)
                weakref.finalize(self, os.close, _locked(self.folder))
            if not os.path.exists(head):
                _write_whole(head, [json.dumps(dict(identity), indent=1).encode()])
                return
            before = _read_head(head)
        changed = [name for name, value in identity.items() if before.get(name) != value]
        if changed:
            raise UsageError(f"{self.folder} was begun with another {', '.join(changed)}; use --force to start afresh")

    def get(self, sha256: str | None) -> tuple[Spooled, SpoolFile] | None:
        """What is kept of a file with these bytes."""
        if sha256 is None:
            return None
        try:
            data = read_bytes(self._path(sha256))
        except OSError:
            return None
        spooled = unpack(data)
        if spooled is None:
            return None
        return replace(spooled, body=b""), self._spool_file(sha256, len(data) - len(spooled.body))

    def entry(self, sha256: str | None) -> bytes:
        """A kept file as it lies in the folder."""
        return read_bytes(self._path(str(sha256)))

    def restore(self, sha256: str, data: bytes | None) -> tuple[Spooled, SpoolFile] | None:
        """Take in what `entry` gave in another folder; None if there is nothing or it is damaged."""
        spooled = unpack(data) if data is not None else None
        if spooled is None or spooled.sha256 != sha256:
            return None
        return replace(spooled, body=b""), self.put(spooled)

    def put(self, spooled: Spooled) -> SpoolFile:
        """Keep a finished file: whole or not at all."""
        head = pack_head(spooled)
        path = self._path(str(spooled.sha256))
        with _said_which(path):
            _write_whole(path, [head, spooled.body])
        return self._spool_file(str(spooled.sha256), len(head))

    def _path(self, sha256: str) -> str:
        return os.path.join(self.folder, f"{sha256}.scan")

    def _spool_file(self, sha256: str, base: int) -> SpoolFile:
        return SpoolFile(self._path(sha256), base, self)


def remove_journal(folder: str | os.PathLike[str], *, unless_in_use: bool = False) -> None:
    """Remove a journal, if there is one.

    Raises
    ------
    UsageError
        If another scan is using it and that matters.
    """
    if os.path.isdir(folder):
        with _said_which(folder):
            if unless_in_use and os.name == "posix":
                os.close(_locked(os.fspath(folder)))
            shutil.rmtree(folder)


def _check_owner(folder: str) -> None:
    facts = os.stat(folder)
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise UsageError(f"{folder} can be read or written by others; remove it (--force starts afresh)")


def _locked(folder: str) -> int:
    """A descriptor of a folder that no other scan has locked; the lock ends when it is closed."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        claim(fd)
    except BlockingIOError:
        os.close(fd)
        raise UsageError(f"{folder} is in use by another scan.") from None
    return fd


def _read_head(path: str) -> dict[str, object]:
    try:
        head = json.loads(read_bytes(path))
    except ValueError:
        head = None
    if not isinstance(head, dict):
        raise UsageError(f"{path} is damaged; use --force to start afresh")
    return head


@contextlib.contextmanager
def _said_which(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file that could not be written."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {os.fspath(path)}: {why(error)}") from error


def _write_whole(path: str, parts: Iterable[bytes]) -> None:
    """Write under another name and rename, readable by the owner only."""
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".writing-")
    try:
        with open(fd, "wb") as file:
            file.writelines(parts)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # the rename may have been the last thing that happened
            os.unlink(temporary)
        raise


def refuse_earlier(folder: str | os.PathLike[str]) -> None:
    """Raise if a folder has outputs of an earlier scan.

    Raises
    ------
    UsageError
        Naming the first.
    """
    for name in all_names():
        path = Path(folder, name)
        if path.exists():
            unfinished = ", or --resume to finish it" if ".partial." in name else ""
            raise UsageError(f"{path} exists; use --force to overwrite it{unfinished}.")


def remove_stale(folder: Path, keep: Sequence[Path]) -> None:
    """Remove outputs of an earlier scan that this one did not write."""
    for name in all_names():
        if folder / name not in keep:
            (folder / name).unlink(missing_ok=True)


class Outputs:
    """Files that get their final names together, or not at all.

    Use as a context manager: what was opened with `file` is renamed at the end, or removed after an error.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._pending: dict[Path, Path] = {}
        with _said_which(folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[BinaryIO]:
        """A file that will be called ``name``."""
        final = self.folder / name
        temporary = self.folder / f".{name}.writing"
        with _said_which(final):
            self._pending[final] = temporary
            with open(temporary, "wb") as file:
                yield file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            for final, temporary in self._pending.items():
                with _said_which(final):
                    os.replace(temporary, final)
        else:
            for temporary in self._pending.values():
                temporary.unlink(missing_ok=True)

    def names(self) -> list[Path]:
        """Final names, in the order the files were begun."""
        return list(self._pending)
