"""Spiking neurons with short-term plasticity as generative networks (Leng et al. 2018)."""
