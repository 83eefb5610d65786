"""Pricing: what operations cost, and how networks compare."""
