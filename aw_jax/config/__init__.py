"""Layer 1: recipes, dotted overrides, presets."""
