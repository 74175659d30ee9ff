"""Compositing backends: the same two functions, once in XLA and once in C++."""
