"""Archives: where the rows of ``ARCHIVE_FILES`` come from, a database or a directory tree."""
