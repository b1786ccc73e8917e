"""Where a user's files are: the folders of the XDG specification."""

from __future__ import annotations

import os

__all__ = ["cache_folder", "user_folder"]


def user_folder(variable: str, name: str) -> str:
    """``$variable``, else ``name`` in the home directory; ``/`` is the home of a user who has none, as in containers.

    >>> user_folder("NO_SUCH_VARIABLE", ".config").endswith("/.config")
    True
    """
    home = os.path.expanduser("~")
    return os.environ.get(variable) or os.path.join("/" if home == "~" else home, name)


def cache_folder() -> str:
    """``$FANWISE_CACHE_DIR``, else ``$XDG_CACHE_HOME/fanwise``, else ``~/.cache/fanwise``."""
    return os.environ.get("FANWISE_CACHE_DIR") or os.path.join(user_folder("XDG_CACHE_HOME", ".cache"), "fanwise")
