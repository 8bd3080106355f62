"""What chips do to whole networks, and how to make up for it (Petrovici et al., 2014)."""
