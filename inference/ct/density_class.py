"""The density class at L1 as a model predicts it, beside the measured attenuation and never in its place.

The bundle alone says what the network is given: level, mask, margin, spacing, shape and window (:mod:`inference.ct.crop`), and by how much
its scores are adjusted for the rarity of classes in its training (:mod:`inference.adjustment`). torch loads when the first body is read.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.bundles import Bundle, BundleError, Kind
from inference.bundles.metadata import Normalisation
from inference.classifier import (
    CLASSES,
    Classified,
    agreement_by_steps,
    attempted,
    check_bundle,
    class_probabilities,
    network_scores,
    no_class,
)
from inference.ct.crop import CropMask, crop_around
from inference.ct.options import CtOptions
from inference.ct.segmentation.base import Segmentation
from inference.ct.summary import LEVEL_OF_THRESHOLDS, Verdict
from inference.errors import WarningCode
from inference.findings import Band, ClassAgreement, DensityClass, Notice, VertebraFinding
from inference.rounding import round_hu
from inference.volume import Volume
from inference.windows import HuWindow

LEVEL = LEVEL_OF_THRESHOLDS
"""A classifier reads the level that the band belongs to."""
ORIENTATION = "SPL"
_BESIDE = {Band.LOW: "osteoporosis", Band.INTERMEDIATE: "osteopenia", Band.ABOVE: "normal"}
"""The class that stands beside a band."""


def classify_study(
    volume: Volume, segmentation: Segmentation, vertebrae: Sequence[VertebraFinding], verdict: Verdict, options: CtOptions
) -> Classified:
    """The density class at L1, where a classifier is there and allowed and L1 is certain, whole and not excluded.

    Parameters
    ----------
    volume, segmentation
        The measured series.
    vertebrae, verdict
        What was measured in it.

    Returns
    -------
    Classified
        Without probabilities, and with the reason, in every other case; a bundle that is damaged or fails adds a warning. Never raises for
        a bundle: the attenuation stands without it.
    """
    name = options.classifier
    if name is None:
        return Classified()

    def attempt() -> Classified:
        bundle = options.bundles.open(name)
        check_classifier(bundle)
        label, why_not = _readable(vertebrae)
        if label is None or verdict.summary.band is None:
            return Classified(density=_none(why_not or "no band is reported"))
        mask = _mask(segmentation, label, bundle)
        if mask is None or not mask.any():
            why_not = f"{bundle.name} reads whole vertebrae, the segmentation {segmentation.model.name} has bodies alone"
            return Classified(density=_none(why_not))
        return _judged(classify_body(volume, mask, bundle), bundle, verdict)

    return attempted(LEVEL, "the attenuation stands without it", attempt)


def check_classifier(bundle: Bundle) -> None:
    """That a bundle tells the three classes apart from the crop of one L1.

    Raises
    ------
    BundleError
        Naming the first thing that is otherwise.
    """
    osteon, given = bundle.metadata.osteon, bundle.metadata.osteon.input
    windows = (Normalisation.WINDOW_TO_MINUS_ONE_ONE, Normalisation.WINDOW_TO_ZERO_ONE)
    wanted: tuple[tuple[str, object, bool], ...] = (
        ("kind", osteon.kind.value, osteon.kind is Kind.CLASSIFICATION),
        ("classes", ", ".join(osteon.outputs), sorted(osteon.outputs) == sorted(CLASSES)),
        ("modality", given.modality, given.modality == "CT"),
        ("channels", given.channels, given.channels == 1),
        ("image axes", len(given.patch_size), len(given.patch_size) == 3),
        ("spacing_mm", given.spacing_mm, len(given.spacing_mm) == 3),
        ("orientation", given.orientation, given.orientation == ORIENTATION),
        ("normalisation", given.normalisation.value, given.normalisation in windows),
        ("crop", None, osteon.crop is not None),
        ("level of the crop", osteon.crop and osteon.crop.level, osteon.crop is None or osteon.crop.level in (None, LEVEL)),
    )
    check_bundle(bundle, "density classifier for CT", wanted)


def classify_body(volume: Volume, mask: NDArray[np.bool_], bundle: Bundle) -> Mapping[str, float]:
    """Probabilities of one vertebra by class, in the order of :data:`CLASSES`.

    Parameters
    ----------
    mask
        The vertebra, or its body, of the volume's shape.
    bundle
        One that :func:`check_classifier` lets pass.

    Raises
    ------
    BundleError
        The weights are not those of the architecture.
    PermanentError
        The network's scores are no numbers.
    ValueError
        The mask is empty.
    """
    return class_probabilities(network_scores(network_input(volume, mask, bundle)[None], bundle), bundle)


def network_input(volume: Volume, mask: NDArray[np.bool_], bundle: Bundle) -> NDArray[np.float32]:
    """(Z, Y, X) float32 as the bundle's network takes it: cropped, masked, windowed.

    Raises
    ------
    BundleError
        The bundle says nothing of a crop or a window.
    ValueError
        The mask is empty.
    """
    crop, given = bundle.metadata.osteon.crop, bundle.metadata.osteon.input
    if crop is None or given.window_hu is None:
        raise BundleError(f"the bundle {bundle.name} says nothing of a crop or a window")
    depth, height, width = given.patch_size
    z_mm, y_mm, x_mm = given.spacing_mm
    masked = CropMask(crop.mask) is not CropMask.BOX
    hu = crop_around(volume, mask, (depth, height, width), (z_mm, y_mm, x_mm), margin_mm=crop.margin_mm, masked=masked)
    low, high = given.window_hu
    scaled = HuWindow(low_hu=low, high_hu=high).apply(hu)
    return scaled * 2 - 1 if given.normalisation is Normalisation.WINDOW_TO_MINUS_ONE_ONE else scaled


def agreement_of(predicted: str, band: Band) -> ClassAgreement:
    """How far a class lies from a band: low stands beside osteoporosis, intermediate beside osteopenia, above both beside normal."""
    return agreement_by_steps(predicted, _BESIDE[band])


def _readable(vertebrae: Sequence[VertebraFinding]) -> tuple[int | None, str]:
    """The label of L1, or None and why no model may read it."""
    found = next((vertebra for vertebra in vertebrae if vertebra.level == LEVEL and vertebra.level_certain), None)
    if found is None:
        return None, f"no vertebra is certain to be {LEVEL}"
    if found.excluded_because is not None:
        return None, f"{LEVEL} is excluded ({found.excluded_because.code}: {found.excluded_because.text})"
    return (found.label, "") if found.used else (None, f"{LEVEL} is not used")


def _mask(segmentation: Segmentation, label: int, bundle: Bundle) -> NDArray[np.bool_] | None:
    """What the bundle's crop is drawn around; None where the segmentation does not have it."""
    crop = bundle.metadata.osteon.crop
    if crop is not None and CropMask(crop.mask) is CropMask.VERTEBRA:
        return None if segmentation.whole is None else np.asarray(segmentation.whole == label)
    return np.asarray(segmentation.bodies == label)


def _judged(probabilities: Mapping[str, float], bundle: Bundle, verdict: Verdict) -> Classified:
    """The class beside the band, with a warning where the two contradict each other."""
    band, measured_hu = verdict.summary.band, verdict.summary.attenuation_hu
    if band is None or measured_hu is None:
        return Classified(density=_none("no band is reported"))
    predicted = max(probabilities, key=lambda name: probabilities[name])
    agreement = agreement_of(predicted, band)
    model = bundle.model_used
    density = DensityClass(
        level=LEVEL, probabilities=probabilities, predicted=predicted, agreement=agreement, model=model, because=_basis(bundle)
    )
    if agreement is not ClassAgreement.CONTRADICTS:
        return Classified(density=density)
    measured = f"{round_hu(measured_hu)} HU ({'low' if band is Band.LOW else 'above both thresholds'})"
    text = (
        f"The model {model.name} (trained on {model.trained_on}) predicts {predicted} at {LEVEL}, where {measured} were measured: "
        "the two contradict each other, and neither changes the other."
    )
    return Classified(density=density, warnings=(Notice(code=WarningCode.CLASS_CONTRADICTS_BAND, text=text),))


def _basis(bundle: Bundle) -> str:
    crop, given = bundle.metadata.osteon.crop, bundle.metadata.osteon.input
    size = " x ".join(f"{size * step:g}" for size, step in zip(given.patch_size, given.spacing_mm, strict=True))
    if crop is None or CropMask(crop.mask) is CropMask.BOX:
        return f"read from a box of {size} mm around {LEVEL}"
    return f"read from the {crop.mask} of {LEVEL} and {crop.margin_mm:g} mm around it, in a box of {size} mm"


def _none(because: str) -> DensityClass:
    return no_class(LEVEL, because)
