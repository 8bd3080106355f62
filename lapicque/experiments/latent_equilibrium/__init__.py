"""Latent Equilibrium: fast computation with slow neurons (Haider et al. 2021)."""
