"""Pages about the reader: sign-in, tokens, failed calls."""
