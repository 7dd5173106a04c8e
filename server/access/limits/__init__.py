"""How much a user may ask for: rates, and counts that all workers share."""
