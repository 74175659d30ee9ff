"""Layer 5: one visible train step and what surrounds it."""
