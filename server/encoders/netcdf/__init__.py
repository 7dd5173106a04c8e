"""netCDF-3 and netCDF-4 files."""
