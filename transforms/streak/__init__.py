"""Streak cameras: combs of fiducials, sweeps, and time axes."""
