"""Diagnostic classes from T-scores, as :mod:`inference.who` has them for training and node alike."""

from inference.who import LABELS, NORMAL_FROM, OSTEOPOROSIS_TO, BoneLabel, who_label, worst_label

__all__ = ["LABELS", "NORMAL_FROM", "OSTEOPOROSIS_TO", "BoneLabel", "who_label", "worst_label"]
