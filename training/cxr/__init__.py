"""Bone mineral density of L1-L4 from chest radiographs: landmarks, regions, Attentive Multi-ROI, its variants and tables."""
