"""What arrives: the page for a wall, and the part of the start page."""
