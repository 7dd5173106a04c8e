"""Collections: many images as one dataset, a shot as a tree or a stack along ``shot``."""
