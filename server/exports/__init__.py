"""Exports of many images at once, on Dask: what is ordered, which images that is, and how they are written.

`run_export` runs one from its list of images to what was ordered; it knows no web framework. `jobs` keeps those that a
server was asked for, and `coordinator` runs them.
"""

from __future__ import annotations
