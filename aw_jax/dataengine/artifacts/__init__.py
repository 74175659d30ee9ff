"""Layer 6: the nine artifact types as edits of a splat and of how it is rendered."""
