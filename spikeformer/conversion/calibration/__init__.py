"""Calibration: thresholds, biases and weights from data."""
