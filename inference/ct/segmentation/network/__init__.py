"""The second reader: a small network, trained on simulated anatomy alone, behind the same protocol as the classical segmenter."""

from inference.ct.segmentation.network.segmenter import NetworkSegmenter

__all__ = ["NetworkSegmenter"]
