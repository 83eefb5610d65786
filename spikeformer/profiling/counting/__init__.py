"""Counting: what a network did, operation by operation."""
