"""Whom texts speak of, what stands beside them, and what hurts: measured on two sets of texts and compared."""
