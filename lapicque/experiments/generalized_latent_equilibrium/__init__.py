"""Generalized Latent Equilibrium: learning through time, on line (Ellenberger et al. 2024)."""
