"""CT: series choice, vertebral segmentation, trabecular attenuation."""
