"""Pages for people: shots, images, search, one's own tokens and failed calls. All work without JavaScript."""
