"""Layer 0: array types, pytrees, keys, safe numerics, user errors, atomic writes."""
