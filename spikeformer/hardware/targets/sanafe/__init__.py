"""Loihi 1 in SANA-FE, a simulator of chips that tells energy and time."""
