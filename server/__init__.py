"""Datasets in, bytes out: over HTTP, and to files."""
