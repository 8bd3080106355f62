"""NeuroBench: its metrics, its tasks, and how our models fare (Yik et al. 2025)."""
