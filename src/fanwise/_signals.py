"""Handlers of signals, as numbers and functions: `signal` makes enum members of them, which costs more than the call."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

__all__ = ["DEFAULT", "Handler", "handle", "handler_of"]

Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None
DEFAULT = int(signal.SIG_DFL)

handler_of: Callable[[int], Handler] = sys.modules["_signal"].getsignal
"""As `signal.getsignal`."""

handle: Callable[[int, Handler], Handler] = sys.modules["_signal"].signal
"""As `signal.signal`."""
