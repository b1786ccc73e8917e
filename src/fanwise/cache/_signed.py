"""Pickles that carry a proof of who wrote them: nothing is unpickled before its MAC was checked.

The secret lies outside the cache directory, so whoever can plant a file in the cache cannot sign it.
"""

from __future__ import annotations

import hmac
import os
import pickle
import secrets
import stat
from collections.abc import Iterable
from hashlib import blake2b, sha256
from typing import Any

from fanwise._folders import user_folder
from fanwise.cache._hashing import Buffer
from fanwise.cache._keys import u64
from fanwise.errors import CacheError, UsageError

__all__ = ["MAC_BYTES", "Signer", "dump", "load", "local_secret", "secret_path", "shared_secret"]

MAC_BYTES = 32
SECRET_BYTES = 32
FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, ImportError, LookupError, MemoryError),
    *(NameError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError, pickle.PickleError),
)  # what classes raise from their own reduce and setstate methods


class Signer:
    """Makes and checks MACs under one secret."""

    __slots__ = ("_key",)

    def __init__(self, secret: bytes) -> None:
        self._key = sha256(secret).digest()

    def mac(self, fields: Iterable[Buffer]) -> bytes:
        """BLAKE2b over the fields, each with its length before it, so that no two lists of fields read the same."""
        hasher = blake2b(key=self._key, digest_size=MAC_BYTES)
        for field in fields:
            hasher.update(u64(len(field)))
            hasher.update(field)
        return hasher.digest()

    def accepts(self, mac: Buffer, fields: Iterable[Buffer]) -> bool:
        return hmac.compare_digest(bytes(mac), self.mac(fields))


def dump(value: Any) -> bytes | None:
    """The pickle of a value, or None if it has none."""
    try:
        return pickle.dumps(value, 5)
    except FAILURES:
        return None


def load(content: Buffer) -> Any:
    """The value of a pickle whose MAC was checked.

    Raises
    ------
    CacheError
        If its classes have changed or gone.
    """
    try:
        return pickle.loads(content)
    except FAILURES as error:
        raise CacheError(f"a signed entry cannot be read any more: {error}") from error


def secret_path() -> str:
    """Where the secret of this user is kept."""
    return os.path.join(user_folder("XDG_CONFIG_HOME", ".config"), "fanwise", "cache.key")


def local_secret(*, make: bool) -> bytes | None:
    """The secret of this user, made at its first use; None if there is none and it is not to be made."""
    path = secret_path()
    if not os.path.lexists(path):
        if not make:
            return None
        _make(path)
    return _read(path)


def shared_secret() -> bytes | None:
    """The secret that several hosts have: the file of ``FANWISE_CACHE_SECRET_FILE``, else this user's own."""
    named = os.environ.get("FANWISE_CACHE_SECRET_FILE")
    return _read(named) if named else local_secret(make=False)


def _make(path: str) -> None:
    """Link a finished file into place: whoever comes second takes the first one's secret, never half of it."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    draft = f"{path}.{secrets.token_hex(8)}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, secrets.token_bytes(SECRET_BYTES))
        os.fsync(fd)
        if not os.path.lexists(path):
            os.link(draft, path)
    except FileExistsError:
        return
    finally:
        os.close(fd)
        os.unlink(draft)


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cache secret {path!r} cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        secret = os.read(fd, 4096)
    finally:
        os.close(fd)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise UsageError(f"cache secret {path!r} can be read by others: chown it to yourself and chmod 600 {path}")
    if len(secret) < SECRET_BYTES:
        raise UsageError(f"cache secret {path!r} has {len(secret)} bytes; at least {SECRET_BYTES} are needed")
    return secret
