"""Descriptions of diagnostics: match a file, label its arrays, derive virtual variables."""
