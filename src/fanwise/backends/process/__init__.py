"""The process backend: one socket, one page and one liveness pipe per worker, and nothing that two workers share.

From the outside in: `_pool` (the backend), `_crew` (the loan of workers to one run), `_link` (one worker as the
coordinator sees it), `_wire` (frames), `_worker` (the other end).
"""

from fanwise.backends.process._attached import forget_attachment
from fanwise.backends.process._method import choose as start_method
from fanwise.backends.process._method import server_running
from fanwise.backends.process._pickling import register_attachment, register_resolver
from fanwise.backends.process._pool import ProcessBackend, start_server

__all__ = [
    "ProcessBackend",
    "forget_attachment",
    "register_attachment",
    "register_resolver",
    "server_running",
    "start_method",
    "start_server",
]
