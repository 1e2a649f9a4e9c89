"""Parameters of the chest workflow as plain frozen data. The node fills them from ``config.yaml``; the defaults here are the same."""

from dataclasses import dataclass, field
from pathlib import Path

from inference.bundles import BundleSource
from inference.cxr.reference import SexPolicy


@dataclass(frozen=True, kw_only=True)
class CxrOptions:
    """What a site may choose about the chest workflow.

    Attributes
    ----------
    bundles
        Where networks come from, and which may run.
    landmarks, model
        The bundle that finds the bones, and the one that estimates density from them; None for ``model``: nothing is estimated.
    thresholds
        A name of :data:`inference.cxr.words.THRESHOLDS`.
    references
        The site's own table of young reference values; None for the one that comes with Osteon.
    sex_policy, accepted, preferred
        As in :class:`inference.cxr.reference.ReferenceChoice`; the densitometer is the one that the model's bundle names.
    """

    bundles: BundleSource = field(default_factory=BundleSource)
    landmarks: str = "cxr-landmarks"
    model: str | None = "cxr-bmd"
    thresholds: str = "-2.5"
    references: Path | None = None
    sex_policy: SexPolicy = SexPolicy.FEMALE_FOR_ALL
    accepted: frozenset[str] = frozenset()
    preferred: str = ""
