"""DelGrad: exact gradients for transmission delays and weights (Göltz, Weber et al. 2025)."""
