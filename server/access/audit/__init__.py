"""The record of who asked for what, and of what failed; without any secret."""
