"""The HTTP core: requests, responses, conditional requests, byte ranges, limits and errors."""
