"""Layer 6: simulation of broken clips and their labels."""
