"""Sphinx configuration: no network, warnings are errors."""

from __future__ import annotations

import fanwise

project = "fanwise"
author = "The fanwise authors"
copyright = "The fanwise authors"
version = release = fanwise.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["_build", "_measured"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"fanwise {version}"
html_static_path: list[str] = []
napoleon_numpy_docstring = True
napoleon_google_docstring = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "code"
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types are shown as they are written; no index of other projects is fetched
suppress_warnings = ["ref.python"]  # the type "path" of a parameter is no reference to an attribute of that name
