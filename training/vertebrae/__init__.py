"""The second reader: a small network that tells body, arch, disc, sacrum, rib and pelvis apart, trained on simulated anatomy alone."""
