"""``python -m fanwise``: the same as the command ``fanwise``."""

from __future__ import annotations

import sys

from fanwise.cli import main

sys.exit(main())
