"""Evolving to learn: plasticity rules that one can read (Jordan, Schmidt et al. 2021)."""
