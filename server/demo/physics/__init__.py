"""The physics of the pictures: light on a photocathode, x rays on film and phosphor, and what counts them.

One module for what counts (`camera`, `compute_sensitivity`), one for time (`sweep`), and one for each kind of picture.

Strategy: a *light* is a float32 array ``[rows, columns]`` of counts above the camera's bias, over the camera's active
area, made from one-dimensional profiles by broadcasting. Time runs along the columns of every streak, as in the real
archive. The numbers of the cameras are rounded from the levels and scatter of real frames; those of the plasmas, the
film and the plate are plausible.
"""
