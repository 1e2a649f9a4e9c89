"""Chest radiographs: recognition, reading, landmarks, regions of bone, and the estimate of lumbar bone density."""
