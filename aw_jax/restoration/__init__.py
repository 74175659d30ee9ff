"""Layer 3: the paper: Eq. 1, Eq. 2, Eq. 3, predictor and restorer."""
