"""Export jobs of a server: the store of jobs, the coordinator that runs them, and its supervisor."""
