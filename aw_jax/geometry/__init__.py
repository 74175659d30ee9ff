"""Layer 1: rotations, cameras, distortion, trajectories."""
