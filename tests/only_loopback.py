"""Run a command where loopback is the only network: ``unshare --map-root-user --net python -m tests.only_loopback …``."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def raise_loopback() -> None:
    """A new network namespace has a loopback interface, but it is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xh", fcntl.ioctl(sock, SIOCGIFFLAGS, request))
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


if __name__ == "__main__":
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        sys.exit("this is no network namespace of its own: run it by unshare --net")
    raise_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])
