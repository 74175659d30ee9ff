"""Layer 4: scenes, splits, clip records, procedural worlds."""
