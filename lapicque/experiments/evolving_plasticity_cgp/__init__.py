"""Plasticity rules evolved by Cartesian genetic programming (Mettler et al. 2021)."""
