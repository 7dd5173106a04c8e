"""One module for each protocol's routes: a request goes through find, open, narrow and write."""
