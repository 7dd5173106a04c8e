"""Statistics: reductions over dimensions, summaries, histograms."""
