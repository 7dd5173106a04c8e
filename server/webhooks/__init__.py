"""Signed messages to other servers about changes of the catalog; see docs/webhooks.md."""
