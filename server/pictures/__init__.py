"""Pictures: levels, colour maps, legends, ticks, and rendering."""
