"""Parameters of the DXA workflow as plain frozen data. The node fills them from ``config.yaml``; the defaults here are the same."""

from dataclasses import dataclass, field

from inference.bundles import BundleSource


@dataclass(frozen=True, kw_only=True)
class DxaOptions:
    """What a site may choose about the DXA workflow.

    Attributes
    ----------
    bundles
        Where networks come from, and which may run.
    classifier
        The bundle that gives the probability of osteoporosis from the crop of L1 to L4; None for none.
    """

    bundles: BundleSource = field(default_factory=BundleSource)
    classifier: str | None = "dxa-cnn21"
