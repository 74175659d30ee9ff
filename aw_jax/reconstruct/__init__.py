"""Layer 5: the closed loop, its views and its guard."""
