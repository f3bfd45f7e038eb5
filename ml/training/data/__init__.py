"""Training data: rows, batches and the vocabulary.

No models here.
"""
