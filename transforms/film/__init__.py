"""Film: step wedges, and exposure from optical density."""
