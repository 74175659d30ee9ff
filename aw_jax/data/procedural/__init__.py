"""Textured worlds with exact poses, images and depth, made from a seed."""
