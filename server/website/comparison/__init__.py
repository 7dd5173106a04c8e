"""The page that compares images: side by side with one range, as a difference or a ratio, and what differs."""
