"""The builder: rows of an archive → entries of the catalog."""
