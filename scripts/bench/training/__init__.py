"""Networks trained on the same batches for the same time: what `tables.py` compares."""
