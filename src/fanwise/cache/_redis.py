"""A `SharedLevel` in Redis or Valkey: single-key commands, MGET and pipelines only, each with a short limit of time.

Passwords are in no repr, message or pickle of this level. The client's own retries are off: with the defaults of
redis-py 8.1 three calls to a dead local server took about 12 s.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import stat
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from fanwise.errors import UsageError, UsageValueError

__all__ = ["PASSWORD_FILE", "RedisLevel"]

PASSWORD_FILE = "FANWISE_CACHE_PASSWORD_FILE"  # noqa: S105  # the name of a variable
CONNECT_S, CALL_S = 0.25, 0.5
_SCHEMES = ("redis", "rediss", "unix")
_HIDDEN = ("password", "ssl_password")
_KEPT_S = 30 * 86400.0


class RedisLevel:
    """The records of a cache on a server that several hosts share.

    Parameters
    ----------
    url : str
        ``redis://host:6379/0``, ``rediss://…`` (TLS) or ``unix:///run/redis.sock?db=0``; ``?namespace=`` keeps
        several caches on one server apart. The password is better left out: the file that
        ``FANWISE_CACHE_PASSWORD_FILE`` names is read on each host.

    Raises
    ------
    UsageError
        If the URL is none of these, the redis package is missing, or others can read the password file.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        _check(parts)
        options = dict(parse_qsl(parts.query))
        self.namespace = options.pop("namespace", "")
        self._hidden = {name: options.pop(name) for name in _HIDDEN if name in options}
        self.password = self._hidden.pop("password", None) if parts.password is None else parts.password
        query = f"?{urlencode(options)}" if options else ""
        self._url = f"{parts.scheme}://{_without_password(parts)}{parts.path}{query}"
        self.is_local = parts.scheme == "unix" or _is_loopback(parts.hostname or "")
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._client: tuple[int, Any] | None = None
        _library()
        _password()

    def __repr__(self) -> str:
        shown = self._url.replace("://", "://:***@", 1) if self.password else self._url
        return f"<RedisLevel {shown}>"

    def __reduce__(self) -> tuple[type[RedisLevel], tuple[str]]:
        """Without the password: it must not lie in what is sent to workers."""
        join = "&" if "?" in self._url else "?"
        named = f"{self._url}{join}{urlencode({'namespace': self.namespace})}" if self.namespace else self._url
        return RedisLevel, (named,)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The record of each key, or None; one round trip."""
        self._counts["gets"] += len(keys)
        found: list[bytes | None] = self._redis().mget([self._name(key) for key in keys])
        return found

    def put_many(self, records: Mapping[bytes, bytes], *, ttl: float | None) -> None:
        """Store records for at most ``ttl`` seconds (None: 30 days); one round trip."""
        self._counts["puts"] += len(records)
        with self._redis().pipeline(transaction=False) as pipeline:
            for key, record in records.items():
                pipeline.set(self._name(key), bytes(record), px=max(1, int((ttl or _KEPT_S) * 1000)))
            pipeline.execute()

    def delete(self, keys: Sequence[bytes]) -> int:
        """Remove records; return how many there were."""
        with self._redis().pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.delete(self._name(key))
            return int(sum(pipeline.execute()))

    def stats(self) -> Mapping[str, int]:
        """How many records this process has asked for and sent."""
        return dict(self._counts)

    def lease(self, key: bytes, *, seconds: float) -> bool:
        """Take the right to compute a key for so many seconds. It saves work; correctness never rests on it."""
        token = secrets.token_hex(16)
        taken = self._redis().set(self._name(key, "lease:"), token, nx=True, px=max(1, int(seconds * 1000)))
        return bool(taken)

    def advice(self, error: BaseException) -> str | None:
        """What to do about a failure that will not pass by itself."""
        text = str(error)
        refused = type(error).__name__ in {"AuthenticationError", "AuthenticationWrongNumberOfArgsError"}
        if refused or text.startswith(("NOAUTH", "WRONGPASS", "invalid username-password")):
            return f"{self!r} refuses the password: name the file that holds it in {PASSWORD_FILE}"
        return None

    def close(self) -> None:
        """Close the connections of this process."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and client[0] == os.getpid():
            client[1].close()

    def after_fork(self) -> None:
        """A child opens connections of its own."""
        self._lock = threading.Lock()
        self._client = None

    def _name(self, key: bytes, kind: str = "") -> str:
        return f"fw1:{self.namespace}:{kind}{key.hex()}" if self.namespace else f"fw1:{kind}{key.hex()}"

    def _redis(self) -> Any:
        """The client of this process: connections are never used across a fork."""
        with self._lock:
            if self._client is None or self._client[0] != os.getpid():
                redis = _library()
                retry = import_module("redis.retry").Retry(import_module("redis.backoff").NoBackoff(), 0)
                options = {"password": password} if (password := self.password or _password()) else {}
                options |= self._hidden
                client = redis.Redis.from_url(
                    self._url,
                    socket_timeout=CALL_S,
                    retry=retry,
                    **({} if self._url.startswith("unix:") else {"socket_connect_timeout": CONNECT_S}),
                    **options,
                )
                self._client = os.getpid(), client
            return self._client[1]


def _check(parts: SplitResult) -> None:
    if parts.scheme not in _SCHEMES or not (parts.hostname or (parts.scheme == "unix" and parts.path)):
        shown = parts._replace(netloc=_without_password(parts), query="").geturl()
        raise UsageValueError(
            f"shared {shown!r}: expected redis://host:6379/0, rediss://host:6379/0 or unix:///path/to/redis.sock?db=0"
        )


def _library() -> Any:
    try:
        return import_module("redis")
    except ImportError as error:
        raise UsageError("a cache shared by Redis needs: pip install 'fanwise[redis]'") from error


def _without_password(parts: SplitResult) -> str:
    user = f"{parts.username}@" if parts.username else ""
    return user + parts.netloc.rpartition("@")[2]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _password() -> str | None:
    """The first line of the file that `PASSWORD_FILE` names, if it names one."""
    path = os.environ.get(PASSWORD_FILE)
    if not path:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            line = file.readline().rstrip("\n")
    except OSError as error:
        raise UsageError(f"{PASSWORD_FILE} names {path!r}, which cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise UsageError(f"password file {path!r} can be read by others: chmod 600 {path}")
    return line
