"""Who reads the archive's files: separate processes that may fail, and the frames that all processes share."""
