"""Layer 3: perceptual metrics and accumulators."""
