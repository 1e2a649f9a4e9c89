"""The 21-layer CNN for spine DXA (Naeem et al. 2025), its baselines, its tables."""
