"""Layer 1: run folders, atomic writes, progress, checkpoints."""
