"""From a script to a chip: a comprehensive workflow (Brüderle et al., 2011)."""
