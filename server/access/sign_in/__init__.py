"""Signing in with an identity provider: its keys, sessions of browsers, and the device flow."""
