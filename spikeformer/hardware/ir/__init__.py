"""The spike graph, its integers, its placement, and its files."""
