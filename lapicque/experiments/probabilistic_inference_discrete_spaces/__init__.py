"""Inference in discrete spaces with networks of LIF neurons (Probst et al., 2015)."""
