"""Lines that open what a page shows: in each language, and as a notebook."""
