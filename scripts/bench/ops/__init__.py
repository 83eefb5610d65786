"""Benchmarks of ops; each file has the name of its op."""
