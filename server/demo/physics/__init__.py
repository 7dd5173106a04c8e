"""The physics of the pictures: light on a photocathode, x rays on film and phosphor, and their detectors.

Two modules have the cameras (`ccd`, `sensitivity`), one the time axis (`sweep`), and each kind of picture has its own.

A *light* is a float32 array ``[rows, columns]`` of counts above the camera's bias, over the camera's active
area, made from one-dimensional profiles by broadcasting. Time runs along the columns of every streak, as in the real
archive. The numbers of the cameras are rounded from the levels and scatter of real frames; those of the plasmas, the
film and the plate are plausible.
"""
