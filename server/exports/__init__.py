"""Exports of many images at once: packages and jobs.

Both have an order (`order`), a list of images with what each becomes (`plan`, `package_plan`), and a record of the
outcome of each image (`manifest`). A package is streamed in the request, one member at a time (`members`), or is one
dataset (`package_tree`). A job runs on Dask (`run`, `worker`, `cluster`), can be resumed (`workspace`), and writes
`containers`; `jobs` has the jobs of a server.
"""

from __future__ import annotations
