"""joblib on fanwise's workers: `register` once, then ``joblib.parallel_config("fanwise")``."""

from __future__ import annotations

import importlib.util
import sys

from fanwise.errors import UsageError

__all__ = ["close", "register"]


def register(make_default: bool = False) -> None:  # noqa: FBT001, FBT002 - as joblib.register_parallel_backend has it
    """Make ``"fanwise"`` a backend of `joblib.Parallel`; a second call changes nothing.

    Parameters
    ----------
    make_default : bool
        Whether every `joblib.Parallel` that names no backend uses it from now on.

    Raises
    ------
    UsageError
        If joblib is not installed.

    Examples
    --------
    >>> import joblib
    >>> from fanwise.integrations.joblib import close, register
    >>> register()
    >>> with joblib.parallel_config("fanwise", n_jobs=2):
    ...     joblib.Parallel()(joblib.delayed(pow)(i, 2) for i in range(4))
    [0, 1, 4, 9]
    >>> close()
    """
    if importlib.util.find_spec("joblib") is None:
        raise UsageError("joblib is not installed: pip install 'fanwise[joblib]'")
    from fanwise.integrations import _joblib_backend

    _joblib_backend.register(make_default=make_default)


def close() -> None:
    """End the workers that are kept warm between calls of `joblib.Parallel`; the next call starts others."""
    backend = sys.modules.get("fanwise.integrations._joblib_backend")
    if backend is not None:
        backend.FanwiseBackend.warm.close()
