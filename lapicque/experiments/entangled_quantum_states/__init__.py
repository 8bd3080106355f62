"""Spiking neurons learn entangled quantum states (Czischek et al. 2022)."""
