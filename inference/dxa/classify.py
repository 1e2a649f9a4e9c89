"""The probability of osteoporosis as a model reads it from the crop of L1 to L4, beside the device's values and never in their place.

The model sees the crop alone (:mod:`inference.dxa.crop`): no print, no table, no border. The bundle says how large the crop is, how many
channels repeat it, and the temperature that its probabilities are calibrated with. torch loads when the first image is read.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.bundles import Bundle, Kind
from inference.bundles.metadata import Normalisation
from inference.classifier import Classified, agreement_by_steps, attempted, check_bundle, class_probabilities, network_scores
from inference.dxa.crop import SpineRoi
from inference.dxa.options import DxaOptions
from inference.dxa.patient import NOT_OSTEOPOROSIS, OSTEOPOROSIS, PatientLevel
from inference.errors import WarningCode
from inference.findings import ClassAgreement, DensityClass, Notice
from inference.who import BoneLabel

LEVEL = "L1-L4"
"""What a classifier reads."""
_BUNDLE_CLASSES = {"normal": NOT_OSTEOPOROSIS, "osteoporosis": OSTEOPOROSIS}
_STANDS = "what the device states stands without it"


def open_classifier(options: DxaOptions) -> Bundle | Classified:
    """The bundle that reads the spine; else why there is none, and never an error for a bundle."""
    name = options.classifier
    if name is None:
        return Classified()

    def attempt() -> Bundle:
        bundle = options.bundles.open(name)
        check_classifier(bundle)
        return bundle

    return attempted(LEVEL, _STANDS, attempt)


def check_classifier(bundle: Bundle) -> None:
    """That a bundle tells osteoporosis from the rest on a crop of L1 to L4.

    Raises
    ------
    BundleError
        Naming the first thing that is otherwise.
    """
    osteon, given = bundle.metadata.osteon, bundle.metadata.osteon.input
    wanted: tuple[tuple[str, object, bool], ...] = (
        ("kind", osteon.kind.value, osteon.kind is Kind.CLASSIFICATION),
        ("classes", ", ".join(osteon.outputs), sorted(osteon.outputs) == sorted(_BUNDLE_CLASSES)),
        ("modality", given.modality, given.modality != "CT"),
        ("image axes", len(given.patch_size), len(given.patch_size) == 2),
        ("normalisation", given.normalisation.value, given.normalisation is Normalisation.ZERO_ONE),
    )
    check_bundle(bundle, "classifier for DXA", wanted)


def crop_size(bundle: Bundle) -> tuple[int, int]:
    """Height and width of the crop that a bundle of :func:`check_classifier` is given."""
    height, width = bundle.metadata.osteon.input.patch_size
    return height, width


def classify_spine(roi: SpineRoi, bundle: Bundle, device: PatientLevel | None) -> Classified:
    """The probability of osteoporosis, how it stands to the device's own T-score, and what a reader must know beside it.

    Parameters
    ----------
    roi
        L1 to L4, cropped at :func:`crop_size`.
    bundle
        One that :func:`check_classifier` lets pass.
    device
        The device's own values over the levels that count; None without any.

    Returns
    -------
    Classified
        Without probabilities, and with a warning, where the network fails; never raises for a bundle.
    """

    def attempt() -> Classified:
        return _judged(spine_probabilities(roi, bundle), roi, bundle, device)

    return attempted(LEVEL, _STANDS, attempt)


def spine_probabilities(roi: SpineRoi, bundle: Bundle) -> Mapping[str, float]:
    """Calibrated probabilities of :data:`NOT_OSTEOPOROSIS` and :data:`OSTEOPOROSIS`.

    Raises
    ------
    BundleError
        The weights are not those of the architecture.
    PermanentError
        The network's scores are no numbers.
    """
    found = class_probabilities(network_scores(network_input(roi, bundle), bundle), bundle)
    return {_BUNDLE_CLASSES[name]: share for name, share in found.items()}


def network_input(roi: SpineRoi, bundle: Bundle) -> NDArray[np.float32]:
    """(channels, height, width) float32, 0 to 1: the crop, once a channel."""
    return np.repeat(roi.image[None].astype(np.float32), bundle.metadata.osteon.input.channels, axis=0)


def agreement_of(predicted: str, device: BoneLabel) -> ClassAgreement:
    """How far an answer lies from the class of the device's T-score.

    ``not osteoporosis`` stands beside normal and osteopenia alike; osteoporosis is one step from osteopenia, two from normal.
    """
    if predicted == NOT_OSTEOPOROSIS:
        return ClassAgreement.CONTRADICTS if device is BoneLabel.OSTEOPOROSIS else ClassAgreement.AGREES
    return agreement_by_steps(predicted, device.value)


def _judged(probabilities: Mapping[str, float], roi: SpineRoi, bundle: Bundle, device: PatientLevel | None) -> Classified:
    predicted = max(probabilities, key=lambda name: probabilities[name])
    category = None if device is None else device.category
    density = DensityClass(
        level=LEVEL,
        probabilities=probabilities,
        predicted=predicted,
        agreement=None if category is None else agreement_of(predicted, category),
        model=bundle.model_used,
        because=_basis(bundle),
    )
    return Classified(density=density, warnings=(*_doubts(roi), *_contradiction(density, device)))


def _basis(bundle: Bundle) -> str:
    height, width = crop_size(bundle)
    temperature = bundle.metadata.osteon.temperature
    calibrated = "not calibrated" if temperature is None else f"calibrated on validation cases (temperature {temperature:.2f})"
    return f"read from the crop of L1 to L4 ({height} x {width} pixels), {calibrated}"


def _doubts(roi: SpineRoi) -> tuple[Notice, ...]:
    if roi.levels_certain:
        return ()
    text = f"The levels that the model read are not certain to be L1 to L4: {roi.because}."
    return (Notice(code=WarningCode.LEVEL_UNCERTAIN, text=text),)


def _contradiction(density: DensityClass, device: PatientLevel | None) -> tuple[Notice, ...]:
    model = density.model
    if density.agreement is not ClassAgreement.CONTRADICTS or model is None or device is None or device.t_score is None:
        return ()
    text = (
        f"The model {model.name} (trained on {model.trained_on}) predicts {density.predicted} where the densitometer states a T-score of "
        f"{device.t_score:.1f} ({device.region}): the two contradict each other. The device's value is what is reported."
    )
    return (Notice(code=WarningCode.CLASS_CONTRADICTS_DEVICE, text=text),)
