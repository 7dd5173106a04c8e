"""Inspection: each new file is read completely, once, in a sandboxed process."""
