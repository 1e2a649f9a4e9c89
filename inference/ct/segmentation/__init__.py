"""Vertebral segmentation behind one protocol."""
