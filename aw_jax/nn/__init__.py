"""Layer 1: attention, norms, rope, embeddings, causal convolution, LoRA."""
