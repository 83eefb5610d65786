"""Intel's Loihi 2, through Lava."""
