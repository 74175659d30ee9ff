"""Layer 1: run folders, progress, checkpoints."""
