"""Protocols, one module or package each: request text → ``Selection``, dataset → bytes. No I/O."""
