"""Sampling with LIF neurons under strong noise (Petrovici et al., 2013 and 2016)."""
