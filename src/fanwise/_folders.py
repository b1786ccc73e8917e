"""Where a user's files are: the folders of the XDG specification."""

from __future__ import annotations

import os
import tempfile

__all__ = ["cache_folder", "user_folder"]


def user_folder(variable: str, name: str) -> str:
    """``$variable``, else ``name`` in the home directory; of a user without one, as in containers, among temporary files.

    >>> user_folder("NO_SUCH_VARIABLE", ".config").endswith("/.config")
    True
    """
    home = os.path.expanduser("~")
    return os.environ.get(variable) or os.path.join(_temporary() if home == "~" else home, name)


def cache_folder() -> str:
    """``$FANWISE_CACHE_DIR``, else ``$XDG_CACHE_HOME/fanwise``, else ``~/.cache/fanwise``."""
    return os.environ.get("FANWISE_CACHE_DIR") or os.path.join(user_folder("XDG_CACHE_HOME", ".cache"), "fanwise")


def _temporary() -> str:
    return os.path.join(tempfile.gettempdir(), f"fanwise-{os.getuid()}")
