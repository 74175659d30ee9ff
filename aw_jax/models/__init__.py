"""Layer 2: networks with upstream weights."""
