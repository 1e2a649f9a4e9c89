"""DXA: which images of a study show an AP spine, where the lumbar column lies in them, and what the densitometer itself says."""
