"""Inspection: each new file is read once, whole, in a sandboxed process."""
