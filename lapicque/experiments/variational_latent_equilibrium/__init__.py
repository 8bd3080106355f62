"""Variational Latent Equilibrium: the adjoint behind the local rules (Brandt et al. 2026)."""
