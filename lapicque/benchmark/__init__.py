"""NeuroBench: metrics and tasks, computed natively."""
