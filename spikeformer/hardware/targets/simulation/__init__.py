"""The spike graph in NumPy."""
