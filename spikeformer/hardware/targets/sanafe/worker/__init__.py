"""Programs that run in SANA-FE's own environment."""
