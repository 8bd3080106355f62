"""Deterministic networks for probabilistic computing (Jordan et al., 2019)."""
