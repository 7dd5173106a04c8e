"""Pages that look over many images, or over the server."""
