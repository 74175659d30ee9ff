"""LPIPS: learned perceptual distances and maps, official and shift-tolerant."""
