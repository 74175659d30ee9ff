"""Layer 1: image metrics, resizing, quantisation."""
