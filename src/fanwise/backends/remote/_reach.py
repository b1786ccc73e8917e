"""Whether anybody answers at an address, and whether others could reach it too."""

from __future__ import annotations

import ipaddress
import re
import socket

from fanwise.errors import BackendError

__all__ = ["HOST_AND_PORT", "is_loopback", "is_port", "knock", "no_answer"]

HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^/:@\s\[\]]+):(?P<port>[0-9]{1,5})/?\Z")


def is_port(digits: str) -> bool:
    """Whether this is the number of a port."""
    return 0 < int(digits) < 1 << 16


def is_loopback(host: str) -> bool:
    """Whether only this host can reach a host of this name (an address of six in brackets)."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def knock(host: str, port: str, *, patience_s: float, who: str, hint: str) -> None:
    """Open a connection and close it: clients of clusters would try for long where nobody listens.

    Raises
    ------
    BackendError
        If nobody answers: ``who`` was expected there, and ``hint`` starts it.
    """
    try:
        socket.create_connection((host.strip("[]"), int(port)), patience_s).close()
    except OSError as error:
        raise no_answer(host, port, error, who=who, hint=hint) from error


def no_answer(host: str, port: str, error: BaseException, *, who: str, hint: str) -> BackendError:
    """What to say if nobody answers."""
    cause = "connection refused" if isinstance(error, ConnectionRefusedError) else "no answer"
    return BackendError(f"no {who} answers at {host}:{port} ({cause}). Is it running? {hint}")
