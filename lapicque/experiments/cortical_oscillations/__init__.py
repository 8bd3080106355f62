"""Cortical oscillations support sampling-based computations (Korcsak-Gorzo et al. 2022)."""
