"""Pong by reward-modulated plasticity on a BrainScaleS-2 prototype (Wunderlich et al. 2019)."""
