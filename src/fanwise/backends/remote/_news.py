"""What a liaison tells its crew."""

from __future__ import annotations

from typing import NamedTuple

from fanwise.backends.remote._letters import Answer

__all__ = ["Answered", "Broken", "Joined", "Left", "Listed", "Message", "Node", "Withdrawn"]


class Node(NamedTuple):
    """A worker of the cluster: where it is, the host whose files it shares, and how many chunks it runs at a time."""

    address: str
    host: str
    threads: int


class Joined(NamedTuple):
    """A worker of the cluster can be used."""

    node: Node


class Left(NamedTuple):
    """A worker of the cluster is gone; ``expected`` if it was retired."""

    address: str
    expected: bool


class Listed(NamedTuple):
    """Those that were connected at the beginning have been named."""


class Answered(NamedTuple):
    """What became of a chunk, or why nobody knows."""

    worker: int
    chunk: int
    answer: Answer | BaseException


class Withdrawn(NamedTuple):
    """A chunk was taken back before it began; ``killed`` is why its worker was to be stopped, if it was."""

    worker: int
    chunk: int
    killed: str | None = None


class Broken(NamedTuple):
    """The cluster is gone, or something of ours is defective."""

    error: BaseException


Message = Joined | Left | Listed | Answered | Withdrawn | Broken
