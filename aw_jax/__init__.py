"""ArtifactWorld in JAX: sparse photos in, a repaired 3D Gaussian splat out."""
