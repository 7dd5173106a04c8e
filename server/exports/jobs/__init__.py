"""Export jobs: the store of jobs, their coordinator, and its supervisor."""
