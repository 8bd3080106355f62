"""Variational learning of quantum ground states with spiking neurons (Klassert et al. 2022)."""
