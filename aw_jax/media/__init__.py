"""Layer 1: image and video files."""
