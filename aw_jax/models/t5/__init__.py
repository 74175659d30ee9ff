"""The T5 v1.1 text encoder: tokens, network, files, and a cache of embeddings."""
