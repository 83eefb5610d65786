"""Evaluation: a converted network beside its original."""
