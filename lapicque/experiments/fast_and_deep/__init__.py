"""Fast and Deep: exact learning of first-spike times (Göltz, Kriener et al. 2021)."""
