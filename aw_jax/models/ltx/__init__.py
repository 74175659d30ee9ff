"""LTX-Video: transformer, video VAE, weights, sampling."""
