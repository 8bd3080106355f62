"""Stochasticity from function: why the Bayesian brain may need no noise (Dold et al., 2019)."""
