"""What device experts read in each vertebra, beside the measured attenuation and never in its place.

The bundle alone says what the network is given (:mod:`inference.ct.crop`) and on the scales of which densitometers it speaks. Density and
osteoporosis are said of L1 to L4, the only levels that a densitometer measures and a network could learn; of every readable vertebra it
says which one it looks like, and that is a check on the segmenter's levels. torch loads when the first vertebra is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.bundles import Bundle, BundleNotAllowedError, BundleNotFoundError, BundleNotPinnedError, Kind, load_network
from inference.bundles.metadata import Normalisation
from inference.classifier import FAILURES, check_bundle
from inference.ct.crop import CropMask
from inference.ct.density_class import ORIENTATION, network_input
from inference.ct.level_check import level_shift
from inference.ct.options import CtOptions
from inference.ct.segmentation.base import Segmentation
from inference.ct.vertebra_readings import VertebraReading, VertebraReadings
from inference.errors import OsteonError, PermanentError, WarningCode
from inference.findings import Notice, VertebraFinding
from inference.volume import Volume

ARCHITECTURE = "vertebra_experts"
DENSITY_LEVELS = ("L1", "L2", "L3", "L4")
"""What a densitometer measures."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """Readings, where experts are configured, with the warnings that belong to them."""

    readings: VertebraReadings | None = None
    warnings: tuple[Notice, ...] = ()


def read_vertebrae(volume: Volume, segmentation: Segmentation, vertebrae: Sequence[VertebraFinding], options: CtOptions) -> Read:
    """The experts' reading of a study, where a bundle is configured and allowed.

    Returns
    -------
    Read
        Without readings, and with the reason, in every other case; a bundle that is damaged or fails adds a warning. Never raises for a
        bundle: the attenuation stands without it.
    """
    if options.experts is None:
        return Read()
    try:
        bundle = options.bundles.open(options.experts)
        check_experts(bundle)
        return _read(volume, segmentation, vertebrae, bundle, options)
    except BundleNotPinnedError as error:
        return _failed(error)
    except (BundleNotFoundError, BundleNotAllowedError) as error:
        return Read(readings=VertebraReadings(because=error.text))
    except FAILURES as error:
        return _failed(error)


def _failed(error: Exception) -> Read:
    told = " ".join(str(error).split())
    because = told if isinstance(error, OsteonError) and told else f"{type(error).__name__}: {told}".rstrip(": ")
    text = f"The experts' network gave no answer ({because}); the attenuation stands without it."
    return Read(readings=VertebraReadings(because=because), warnings=(Notice(code=WarningCode.EXPERTS_FAILED, text=text),))


def check_experts(bundle: Bundle) -> None:
    """That a bundle reads single vertebrae in CT on the scale of named densitometers.

    Raises
    ------
    BundleError
        Naming the first thing that is otherwise.
    """
    from inference.ct.vertebra_experts import OUTPUTS

    osteon, given = bundle.metadata.osteon, bundle.metadata.osteon.input
    windows = (Normalisation.WINDOW_TO_MINUS_ONE_ONE, Normalisation.WINDOW_TO_ZERO_ONE)
    devices = bundle.network.arguments.get("devices", len(osteon.densitometers))
    wanted: tuple[tuple[str, object, bool], ...] = (
        ("kind", osteon.kind.value, osteon.kind is Kind.REGRESSION),
        ("architecture", osteon.architecture, osteon.architecture == ARCHITECTURE),
        ("targets", ", ".join(osteon.outputs), osteon.outputs == OUTPUTS),
        ("modality", given.modality, given.modality == "CT"),
        ("channels", given.channels, given.channels == 1),
        ("spacing_mm", given.spacing_mm, len(given.spacing_mm) == 3),
        ("orientation", given.orientation, given.orientation == ORIENTATION),
        ("normalisation", given.normalisation.value, given.normalisation in windows),
        ("crop", None, osteon.crop is not None),
        ("level of the crop", osteon.crop and osteon.crop.level, osteon.crop is None or osteon.crop.level is None),
        ("densitometers", ", ".join(osteon.densitometers), 0 < len(osteon.densitometers) == devices),
    )
    check_bundle(bundle, "reader of vertebrae in CT", wanted)


def densitometer_of(bundle: Bundle, wanted: str | None) -> tuple[int, str]:
    """Index and name of the densitometer on whose scale densities are said: the site's, or without one the bundle's first.

    Raises
    ------
    PermanentError
        The bundle does not speak the scale that the site wants.
    """
    known = bundle.metadata.osteon.densitometers
    if wanted is None:
        return 0, known[0]
    if wanted not in known:
        raise PermanentError(f"the bundle {bundle.name} speaks the scales of {', '.join(known)}, not of {wanted}")
    return known.index(wanted), wanted


def _read(volume: Volume, segmentation: Segmentation, vertebrae: Sequence[VertebraFinding], bundle: Bundle, options: CtOptions) -> Read:
    index, densitometer = densitometer_of(bundle, options.densitometer)
    crop = bundle.metadata.osteon.crop
    masks = segmentation.bodies
    if crop is not None and CropMask(crop.mask) is CropMask.VERTEBRA:
        if segmentation.whole is None:
            why = f"{bundle.name} reads whole vertebrae, the segmentation {segmentation.model.name} has bodies alone"
            return Read(readings=VertebraReadings(because=why))
        masks = segmentation.whole
    certain = [(body.label, body.level) for body in segmentation.vertebrae if body.whole and body.level_certain and body.level is not None]
    chosen = [(label, level) for label, level in certain if (masks == label).any()]
    if not chosen:
        return Read(readings=VertebraReadings(because="no vertebra is whole and certain"))
    images = np.stack([network_input(volume, np.asarray(masks == label), bundle)[None] for label, _ in chosen])
    said = network_readings(images, index, bundle)
    measured = {finding.label for finding in vertebrae if finding.used}
    readings = tuple(
        one.named(label, level, counted=level in DENSITY_LEVELS and label in measured)
        for one, (label, level) in zip(said, chosen, strict=True)
    )
    shift = _shift(readings)
    told = "the site's choice" if options.densitometer is not None else "the model's first: the site names none"
    found = VertebraReadings(
        readings=readings,
        densitometer=densitometer,
        model=bundle.model_used,
        because=f"on the scale of {densitometer} ({told})",
        shift=shift,
    )
    return Read(readings=found, warnings=_level_warning(found))


@dataclass(frozen=True, kw_only=True)
class _Said:
    """The network's numbers for one crop."""

    bmd_g_cm2: float
    probability: float
    looks_like: str
    gates: tuple[float, ...]

    def named(self, label: int, level: str, *, counted: bool) -> VertebraReading:
        """The numbers under the vertebra's name; density and probability only where they count."""
        return VertebraReading(
            label=label,
            level=level,
            looks_like=self.looks_like,
            bmd_g_cm2=self.bmd_g_cm2 if counted else None,
            probability=self.probability if counted else None,
            gates=self.gates,
        )


def network_readings(images: NDArray[np.float32], device: int, bundle: Bundle) -> tuple[_Said, ...]:
    """What the network says of crops (N, 1, Z, Y, X), on the scale of one densitometer by index. torch loads here.

    Raises
    ------
    BundleError
        The weights are not those of the architecture.
    PermanentError
        The network's numbers are none.
    """
    import torch

    from inference.ct.vertebra_experts import POSITIONS, POSITIVE, VertebraExperts

    network = load_network(bundle)
    if not isinstance(network, VertebraExperts):
        raise PermanentError(f"{bundle.name} holds no experts")
    found: list[_Said] = []
    with torch.inference_mode():
        for image in torch.from_numpy(images):  # one at a time: seventeen crops at once would take a gigabyte
            said = network.read(image[None], torch.tensor([device]))
            flat = torch.cat([said.diagnosis[0], said.bmd_g_cm2, said.position[0]])
            if not bool(torch.isfinite(flat).all()):
                raise PermanentError(f"{bundle.name} gives numbers that are none: {flat.tolist()}")
            found.append(
                _Said(
                    bmd_g_cm2=float(said.bmd_g_cm2[0]),
                    probability=float(torch.softmax(said.diagnosis[0], dim=0)[POSITIVE]),
                    looks_like=POSITIONS[int(said.position[0].argmax())],
                    gates=tuple(said.gates[0].tolist()),
                )
            )
    return tuple(found)


def _shift(readings: Sequence[VertebraReading]) -> int | None:
    from inference.ct.vertebra_experts import POSITIONS

    known = [one for one in readings if one.level in POSITIONS]
    return level_shift([POSITIONS.index(one.level) for one in known], [POSITIONS.index(one.looks_like) for one in known])


def _level_warning(found: VertebraReadings) -> tuple[Notice, ...]:
    """That the vertebrae look like others than they are called; the names stand."""
    if found.shift in (None, 0) or found.model is None:
        return ()
    steps = abs(found.shift or 0)
    side = "below" if (found.shift or 0) > 0 else "above"
    pairs = ", ".join(f"{one.level} like {one.looks_like}" for one in found.readings if one.looks_like != one.level)
    text = (
        f"The vertebrae are named {steps} level{'s' if steps > 1 else ''} {side} what they look like to {found.model.name} "
        f"(trained on {found.model.trained_on}): {pairs}. The names stand as the segmenter gave them; count the vertebrae."
    )
    return (Notice(code=WarningCode.LEVELS_LOOK_OTHERWISE, text=text),)
