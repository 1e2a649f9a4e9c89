"""What happens to images before a network sees them in training: cached preparation, augmentation."""

from training.transforms.augmentation import AUGMENTATIONS, AugmentationOptions, Augmenter, augmentation, balanced, case_seed
from training.transforms.cache import CaseCache

__all__ = ["AUGMENTATIONS", "AugmentationOptions", "Augmenter", "CaseCache", "augmentation", "balanced", "case_seed"]
