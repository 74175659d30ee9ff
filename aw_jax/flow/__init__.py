"""Layer 1: rectified-flow path, timestep laws, Euler solver."""
