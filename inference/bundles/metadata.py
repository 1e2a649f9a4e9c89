"""``configs/metadata.json``: MONAI's fields, and an ``osteon`` object that says what a site must know to trust the model."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inference.bundles.architectures import ArchitectureName

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"

Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$")]
Positive = Annotated[float, Field(gt=0)]
Size = Annotated[int, Field(ge=1, le=4096)]


class Closed(BaseModel):
    """Immutable; an unknown key and a number that is not finite are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class TrainedOn(StrEnum):
    """What the weights were trained on."""

    SIMULATED_ANATOMY = "simulated_anatomy"
    """Shapes and attenuation drawn at random, following no population."""
    SIMULATED_PATIENTS = "simulated_patients"
    """A simulated population with simulated outcomes."""
    PATIENTS = "patients"

    @property
    def words(self) -> str:
        """As results say it."""
        return self.value.replace("_", " ")


class Kind(StrEnum):
    """What the network gives."""

    SEGMENTATION = "segmentation"
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class Normalisation(StrEnum):
    """How stored values become the network's input."""

    WINDOW_TO_MINUS_ONE_ONE = "window_to_minus_one_one"
    """Clipped to ``window_hu``, then linearly to -1 .. 1."""
    WINDOW_TO_ZERO_ONE = "window_to_zero_one"
    """Clipped to ``window_hu``, then linearly to 0 .. 1."""
    MIN_MAX = "min_max"
    """Each image's own range to 0 .. 1."""
    ZERO_MEAN_UNIT_SD = "zero_mean_unit_sd"
    """Each image less its mean, divided by its standard deviation."""
    ZERO_ONE = "zero_one"
    """The image is 0 .. 1 as the workflow crops it (:mod:`inference.dxa.crop`); nothing is done to it."""


class NetworkInput(Closed):
    """What the network must be given.

    Attributes
    ----------
    spacing_mm
        One per image axis; empty where images are resized whatever their spacing.
    orientation
        Where each array axis points, one letter an axis (``SPL``: head, back, left); empty for projections.
    window_hu
        (low, high); None for what is not in HU.
    patch_size
        In training, one per image axis.
    multiple_of
        Every axis given to the network must be a multiple of this.
    """

    modality: Literal["CT", "CR", "DX", "BMD"]
    channels: Size = 1
    spacing_mm: tuple[Positive, ...] = Field((), max_length=3)
    orientation: Annotated[str, Field(pattern=r"^[RLAPSI]{0,3}$")] = ""
    window_hu: tuple[float, float] | None = None
    normalisation: Normalisation
    patch_size: tuple[Size, ...] = Field(min_length=2, max_length=3)
    multiple_of: Size = 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        axes = len(self.patch_size)
        for name, given in (("spacing_mm", len(self.spacing_mm)), ("orientation", len(self.orientation))):
            if given not in (0, axes):
                raise ValueError(f"{name} has {given} axes, patch_size {axes}")
        if len({"RLAPSI".index(letter) // 2 for letter in self.orientation}) != len(self.orientation):
            raise ValueError(f"orientation {self.orientation} names one axis twice")
        windowed = self.normalisation in (Normalisation.WINDOW_TO_MINUS_ONE_ONE, Normalisation.WINDOW_TO_ZERO_ONE)
        if windowed != (self.window_hu is not None):
            raise ValueError("window_hu is needed for a window's normalisation, and for no other")
        if self.window_hu is not None and self.window_hu[0] >= self.window_hu[1]:
            raise ValueError("window_hu must be (low, high)")
        if any(size % self.multiple_of for size in self.patch_size):
            raise ValueError(f"patch_size {self.patch_size} is no multiple of {self.multiple_of}")
        return self


class Crop(Closed):
    """Which vertebra a network is given, and how much of what lies around it (:mod:`inference.ct.crop`).

    Attributes
    ----------
    level
        ``L1`` for a network of one level; None for one that takes any.
    mask
        What is left in the box: the body, the whole vertebra, or everything.
    margin_mm
        How far the mask is dilated first.
    """

    level: Annotated[str, Field(pattern=r"^[TL]\d{1,2}$")] | None = None
    mask: Literal["body", "vertebra", "box"] = "body"
    margin_mm: Annotated[float, Field(ge=0, le=50)] = 2.0


class Metric(Closed):
    """One figure of the evaluation. ``low`` and ``high`` are its 95 % confidence interval; None where there is none."""

    name: Text
    value: float
    low: float | None = None
    high: float | None = None
    cases: Annotated[int, Field(ge=1)]
    data: Text = Field(description="What it was measured on, in words.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"the interval of {self.name} has one end only")
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"{self.name}: {self.value} lies outside its interval {self.low} to {self.high}")
        return self


class TrainingSummary(Closed):
    """How the weights were made, so that they can be made again."""

    cases: Annotated[int, Field(ge=1)]
    data: Text = Field(description="What the cases are and where they come from.")
    seed: int
    command: Text
    git_commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")] | None = None
    seconds: Positive | None = None
    hardware: Text | None = None


class OsteonMetadata(Closed):
    """What Osteon needs beyond MONAI's schema.

    Attributes
    ----------
    classes
        Output channels in order (segmentation, classification); ``targets`` those of a regression, each with its unit in the name.
    priors
        Share of each class in the training data, for logit adjustment (Menon et al. 2021): ``tau1`` in the loss, ``tau2`` post hoc.
    temperature
        Of a classification's calibrated probabilities, ``softmax(logits / temperature)``; chosen on validation cases. None: not calibrated.
    crop
        For a network that is given one vertebra.
    densitometer
        Make on whose scale a regression's densities are, so that a T-score takes the reference of that make; None: not stated, no T-score.
    densitometers
        Makes on whose scales a network can say density, by the index that it is told; empty for one that speaks one scale or none.
    """

    format: Literal[1] = 1
    name: Name
    version: Version
    kind: Kind
    architecture: ArchitectureName
    weights_dtype: Literal["float32", "float16"] = "float32"
    input: NetworkInput
    crop: Crop | None = None
    classes: tuple[Name, ...] = Field((), max_length=256)
    targets: tuple[Name, ...] = Field((), max_length=256)
    priors: tuple[Positive, ...] | None = None
    tau1: Annotated[float, Field(ge=0)] | None = None
    tau2: Annotated[float, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(gt=0, le=100)] | None = None
    densitometer: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    densitometers: tuple[Text, ...] = Field((), max_length=16)
    trained_on: TrainedOn
    training: TrainingSummary
    metrics: tuple[Metric, ...] = ()
    intended_use: Text
    limits: tuple[Text, ...] = Field(min_length=1, description="What it does badly or was never tried on. Every model has some.")
    licence: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]+$")] = Field("Apache-2.0", description="SPDX identifier.")
    paper: Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        outputs, other = ("targets", "classes") if self.kind is Kind.REGRESSION else ("classes", "targets")
        if not getattr(self, outputs) or getattr(self, other):
            raise ValueError(f"a {self.kind} names its {outputs}, and has no {other}")
        if len(set(self.outputs)) != len(self.outputs):
            raise ValueError(f"{outputs} name one output twice")
        if self.priors is not None:
            if len(self.priors) != len(self.classes):
                raise ValueError(f"{len(self.priors)} priors for {len(self.classes)} classes")
            if abs(sum(self.priors) - 1.0) > 1e-6:
                raise ValueError(f"the priors sum to {sum(self.priors):.6g}, not to 1")
        if (self.tau1 is not None or self.tau2 is not None) and self.priors is None:
            raise ValueError("tau1 and tau2 adjust logits by the priors; there are none")
        if self.temperature is not None and self.kind is not Kind.CLASSIFICATION:
            raise ValueError(f"a temperature calibrates a classification, not a {self.kind}")
        if self.densitometer is not None and self.kind is not Kind.REGRESSION:
            raise ValueError(f"a densitometer's scale is that of a regression, not of a {self.kind}")
        if self.kind is Kind.SEGMENTATION and self.input.modality == "CT" and not (self.input.spacing_mm and self.input.orientation):
            raise ValueError("a segmentation of CT needs spacing_mm and orientation")
        return self

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output channels, in order."""
        return self.targets or self.classes


class DataFormat(Closed):
    """One input or output in MONAI's ``network_data_format``."""

    type: Literal["image", "probabilities", "tuples"]
    format: Text
    modality: str | None = None
    num_channels: Size
    spatial_shape: tuple[Size | Annotated[str, Field(pattern=r"^[1-9]\d{0,3}\*n$")], ...]
    dtype: Literal["float32"] = "float32"
    value_range: tuple[float, ...]
    is_patch_data: bool
    channel_def: dict[str, str]

    @model_validator(mode="after")
    def _channels_named(self) -> Self:
        if list(self.channel_def) != [str(number) for number in range(self.num_channels)]:
            raise ValueError(f"channel_def names {len(self.channel_def)} channels in its order, num_channels is {self.num_channels}")
        return self


class InputFormats(Closed):
    """MONAI's ``inputs``."""

    image: DataFormat


class OutputFormats(Closed):
    """MONAI's ``outputs``."""

    pred: DataFormat


class NetworkDataFormat(Closed):
    """MONAI's ``network_data_format``."""

    inputs: InputFormats
    outputs: OutputFormats


class BundleMetadata(Closed):
    """The whole of ``configs/metadata.json``. MONAI's fields repeat what ``osteon`` says; that they agree is checked."""

    schema_url: Text = Field(SCHEMA, alias="schema")
    name: Name
    version: Version
    changelog: dict[Version, Text]
    monai_version: Text
    pytorch_version: Text
    numpy_version: Text
    required_packages_version: dict[str, str]
    task: Text
    description: Text
    authors: Text
    copyright: Text
    intended_use: Text
    network_data_format: NetworkDataFormat
    osteon: OsteonMetadata

    @model_validator(mode="after")
    def _agree(self) -> Self:
        osteon = self.osteon
        image, pred = self.network_data_format.inputs.image, self.network_data_format.outputs.pred
        pairs = {
            "name": (self.name, osteon.name),
            "version": (self.version, osteon.version),
            "intended_use": (self.intended_use, osteon.intended_use),
            "input channels": (image.num_channels, osteon.input.channels),
            "input axes": (len(image.spatial_shape), len(osteon.input.patch_size)),
            "outputs": (tuple(pred.channel_def.values()), osteon.outputs),
        }
        for what, (monai, ours) in pairs.items():
            if monai != ours:
                raise ValueError(f"{what}: MONAI's fields say {monai}, osteon says {ours}")
        if self.version not in self.changelog:
            raise ValueError(f"the changelog has no entry for version {self.version}")
        return self
