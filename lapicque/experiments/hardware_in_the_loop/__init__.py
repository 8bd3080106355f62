"""A deep network of rate-coded neurons trained with the wafer in the loop (Schmitt et al. 2017)."""
