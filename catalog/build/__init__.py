"""The build: rows of an archive become entries of the catalog."""
