"""Where the cache lives: finds the directory, makes it, and makes it again if somebody deleted it."""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import closing

from fanwise.cache._directory import Directory, is_unwritable, of_other_kind
from fanwise.cache._hashing import FOLDER

__all__ = ["SCHEMA", "Home", "is_network", "is_present", "present_backend"]

SCHEMA = 1
_OLD_S = 30 * 86400.0
_SCHEMA_FOLDER = re.compile(r"v(\d+)(-blake2b)?")
_NETWORK = re.compile(r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|virtiofs|fuse(\..*)?")


class Home:
    """The directory of a cache.

    Attributes
    ----------
    path : str
        Absolute.
    given : bool
        Whether the user named it; such a path may lead through links.
    label : str
        How messages call it.
    writable : bool
        False once it turned out that nothing can be made there.
    """

    def __init__(self, path: str, *, given: bool = True, label: str = "") -> None:
        self._given = given
        self._label = label or path
        self.path = path
        self.writable = True

    def open(self, *, make: bool) -> Directory | None:
        """The folder of this schema and hash; None if it is missing and cannot, or is not to, be made.

        Raises
        ------
        CacheError
            If the directory is a file, belongs to somebody else, can be written by others, or holds links.
        """
        if not make and not os.path.isdir(self.path):
            return None
        try:
            root = Directory.at(self.path, given=self._given, label=self._label)
        except OSError as error:
            self._note_unwritable(error)
            return None
        with closing(root):
            try:
                folder = root.child(FOLDER, make=make)
            except FileNotFoundError:
                return None
            except NotADirectoryError as error:
                raise of_other_kind(os.path.join(self._label, FOLDER), is_folder=False) from error
            except OSError as error:
                self._note_unwritable(error)
                return None
        try:
            folder.check_names()
        except BaseException:
            folder.close()
            raise
        return folder

    def _note_unwritable(self, error: OSError) -> None:
        if not is_unwritable(error):
            raise error
        self.writable = False

    def remove_old_schemas(self) -> int:
        """Remove folders of earlier schemas that nobody has touched for 30 days; how many."""
        removed = 0
        with closing(Directory.at(self.path, given=self._given, label=self._label)) as root:
            for name in root.names():
                match = _SCHEMA_FOLDER.fullmatch(name)
                status = root.status(name)
                if match and status and int(match[1]) < SCHEMA and time.time() - status.st_mtime > _OLD_S:
                    shutil.rmtree(name, dir_fd=root.fd)
                    removed += 1
        return removed


def is_present(path: str) -> bool:
    """Whether a cache of this schema and hash lies there; nothing is made by looking.

    Raises
    ------
    CacheError
        If it is a file, belongs to somebody else or can be written by others.
    """
    try:
        with closing(Directory.at(path, given=True, label=path, make=False)) as root:
            return root.status(FOLDER) is not None
    except FileNotFoundError:
        return False


def present_backend(path: str) -> str | None:
    """Which backend wrote what is there."""
    folder = os.path.join(path, FOLDER)
    if os.path.exists(os.path.join(folder, "index")):
        return "index"
    return "files" if os.path.isdir(os.path.join(folder, "entries")) else None


def is_network(path: str) -> bool:
    """Whether a path lies on a file system that other hosts may change, or whose maps and locks cannot be relied on."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                fields = line.split()
                if fields[2] == wanted:
                    return _NETWORK.fullmatch(fields[fields.index("-") + 1]) is not None
    except FileNotFoundError:  # not Linux
        return False
    return False
