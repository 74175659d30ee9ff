"""Layer 7: figures, tables and reports."""
