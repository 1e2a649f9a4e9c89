"""Bundles: weights with what is needed to trust and to run them, in MONAI's bundle layout (``docs/bundles.md``).

Verifying needs no torch; :func:`load_network` loads it when called.
"""

from inference.bundles.architectures import ARCHITECTURES, NetworkDefinition
from inference.bundles.bundle import Bundle, load_bundle, shipped_bundle, shipped_names
from inference.bundles.errors import BundleError, BundleNotAllowedError, BundleNotFoundError, BundleNotPinnedError
from inference.bundles.metadata import (
    BundleMetadata,
    Crop,
    Kind,
    Metric,
    NetworkInput,
    Normalisation,
    OsteonMetadata,
    TrainedOn,
    TrainingSummary,
)
from inference.bundles.network import check_signature, load_network
from inference.bundles.source import BundleEntry, BundleSource, why_not_allowed

__all__ = [
    "ARCHITECTURES",
    "Bundle",
    "BundleEntry",
    "BundleError",
    "BundleMetadata",
    "BundleNotAllowedError",
    "BundleNotFoundError",
    "BundleNotPinnedError",
    "BundleSource",
    "Crop",
    "Kind",
    "Metric",
    "NetworkDefinition",
    "NetworkInput",
    "Normalisation",
    "OsteonMetadata",
    "TrainedOn",
    "TrainingSummary",
    "check_signature",
    "load_bundle",
    "load_network",
    "shipped_bundle",
    "shipped_names",
    "why_not_allowed",
]
