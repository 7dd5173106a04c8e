"""One module for each protocol: request text → ``Selection``, dataset → bytes. No I/O."""
