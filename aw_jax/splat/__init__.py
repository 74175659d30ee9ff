"""Layer 2: 3D Gaussian splats: rendering, fitting, files."""
