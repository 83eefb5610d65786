"""Conversion measured: models to convert, and what becomes of them."""
