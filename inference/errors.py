"""Errors and the reason codes that every refusal, exclusion, skip and warning carries.

Hierarchy::

    OsteonError
    ├── RetryableError      the same call may succeed later (a peer is down, a disk is full)
    └── PermanentError      the same call will fail again
        └── Refusal         a study is not measured, for a reason that has a code

``node.errors`` adds the children that concern networks, configuration and storage.
"""

from enum import StrEnum


class ReasonCode(StrEnum):
    """Why a study is refused, a file is skipped, or a level is excluded. ``docs/reason-codes.md`` explains each for its reader."""

    # A file or instance cannot be used
    NOT_DICOM = "NOT_DICOM"
    UNREADABLE_FILE = "UNREADABLE_FILE"
    UNREADABLE_PIXELS = "UNREADABLE_PIXELS"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    DUPLICATE_INSTANCE = "DUPLICATE_INSTANCE"
    # Identity
    IDENTITY_MISSING = "IDENTITY_MISSING"
    IDENTITY_CONFLICT = "IDENTITY_CONFLICT"
    # Routing
    NO_MATCHING_ROUTE = "NO_MATCHING_ROUTE"
    WRONG_BODY_PART = "WRONG_BODY_PART"
    NOT_FRONTAL = "NOT_FRONTAL"
    ORIENTATION_UNCERTAIN = "ORIENTATION_UNCERTAIN"
    NOT_HUMAN = "NOT_HUMAN"
    FOR_PROCESSING = "FOR_PROCESSING"
    REPORT_PAGE = "REPORT_PAGE"
    BURNED_IN_TEXT = "BURNED_IN_TEXT"
    NO_TRAINED_MODEL = "NO_TRAINED_MODEL"
    # Models
    BUNDLE_INVALID = "BUNDLE_INVALID"
    BUNDLE_NOT_ALLOWED = "BUNDLE_NOT_ALLOWED"
    # Series choice
    NO_SUITABLE_SERIES = "NO_SUITABLE_SERIES"
    WRONG_MODALITY = "WRONG_MODALITY"
    MULTIFRAME_NOT_READ = "MULTIFRAME_NOT_READ"
    LOCALIZER = "LOCALIZER"
    DERIVED_IMAGE = "DERIVED_IMAGE"
    NOT_AXIAL = "NOT_AXIAL"
    TOO_FEW_SLICES = "TOO_FEW_SLICES"
    OTHER_SERIES_PREFERRED = "OTHER_SERIES_PREFERRED"
    # Geometry and intensity scale
    NOT_A_VOLUME = "NOT_A_VOLUME"
    SPACING_MISSING = "SPACING_MISSING"
    ORIENTATION_MISSING = "ORIENTATION_MISSING"
    IRREGULAR_SPACING = "IRREGULAR_SPACING"
    MISSING_SLICES = "MISSING_SLICES"
    DUPLICATE_POSITIONS = "DUPLICATE_POSITIONS"
    GANTRY_TILT = "GANTRY_TILT"
    SLICES_TOO_THICK = "SLICES_TOO_THICK"
    RESCALE_MISSING = "RESCALE_MISSING"
    IMPLAUSIBLE_HU = "IMPLAUSIBLE_HU"
    # Segmentation
    SPINE_NOT_FOUND = "SPINE_NOT_FOUND"
    POOR_CONTRAST = "POOR_CONTRAST"
    L1_NOT_IN_VIEW = "L1_NOT_IN_VIEW"
    LEVEL_UNCERTAIN = "LEVEL_UNCERTAIN"
    NO_USABLE_LEVEL = "NO_USABLE_LEVEL"
    SEGMENTER_UNAVAILABLE = "SEGMENTER_UNAVAILABLE"
    MASK_MISSING = "MASK_MISSING"
    MASK_UNREADABLE = "MASK_UNREADABLE"
    MASK_MISMATCH = "MASK_MISMATCH"
    LANDMARKS_IMPLAUSIBLE = "LANDMARKS_IMPLAUSIBLE"
    ROI_OUTSIDE_FILM = "ROI_OUTSIDE_FILM"
    ESTIMATE_IMPLAUSIBLE = "ESTIMATE_IMPLAUSIBLE"
    # A level is measured but not used
    NOT_WHOLE = "NOT_WHOLE"
    FRACTURE_SUSPECTED = "FRACTURE_SUSPECTED"
    METAL_OR_CEMENT = "METAL_OR_CEMENT"
    SCLEROSIS = "SCLEROSIS"
    OUTLIER = "OUTLIER"
    ROI_TOO_SMALL = "ROI_TOO_SMALL"
    MERGED_BODIES = "MERGED_BODIES"
    TOO_NOISY = "TOO_NOISY"
    # Running
    OUT_OF_TIME = "OUT_OF_TIME"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    QUARANTINED = "QUARANTINED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class WarningCode(StrEnum):
    """What a reader must know beside a number that was given. ``docs/reason-codes.md`` explains each."""

    LEVEL_UNCERTAIN = "LEVEL_UNCERTAIN"
    TRANSITIONAL_ANATOMY = "TRANSITIONAL_ANATOMY"
    BAND_FROM_OTHER_LEVEL = "BAND_FROM_OTHER_LEVEL"
    MEAN_MEDIAN_GAP = "MEAN_MEDIAN_GAP"
    HEIGHT_LOSS = "HEIGHT_LOSS"
    DIFFERS_FROM_NEIGHBOURS = "DIFFERS_FROM_NEIGHBOURS"
    DENSE_VOXELS = "DENSE_VOXELS"
    SIZE_OUTLIER = "SIZE_OUTLIER"
    WEAK_DISC = "WEAK_DISC"
    CONTRAST_ARTERIAL = "CONTRAST_ARTERIAL"
    CONTRAST_VENOUS = "CONTRAST_VENOUS"
    CONTRAST_UNKNOWN = "CONTRAST_UNKNOWN"
    TUBE_VOLTAGE = "TUBE_VOLTAGE"
    TUBE_VOLTAGE_MISSING = "TUBE_VOLTAGE_MISSING"
    SHARP_KERNEL = "SHARP_KERNEL"
    THICK_SLICES = "THICK_SLICES"
    TILT_RESAMPLED = "TILT_RESAMPLED"
    DUPLICATES_DROPPED = "DUPLICATES_DROPPED"
    ROTATED_SPINE = "ROTATED_SPINE"
    IDENTITY_INCOMPLETE = "IDENTITY_INCOMPLETE"
    UIDS_DERIVED = "UIDS_DERIVED"
    LOSSY_COMPRESSION = "LOSSY_COMPRESSION"
    CALIBRATION_OTHER_TUBE_VOLTAGE = "CALIBRATION_OTHER_TUBE_VOLTAGE"
    READERS_DISAGREE_LEVEL = "READERS_DISAGREE_LEVEL"
    READERS_DISAGREE_SHAPE = "READERS_DISAGREE_SHAPE"
    READERS_DISAGREE_ATTENUATION = "READERS_DISAGREE_ATTENUATION"
    SECOND_READER_FAILED = "SECOND_READER_FAILED"
    NETWORK_ALONE = "NETWORK_ALONE"
    MASK_INCOMPLETE = "MASK_INCOMPLETE"
    CLASSIFIER_FAILED = "CLASSIFIER_FAILED"
    CLASS_CONTRADICTS_BAND = "CLASS_CONTRADICTS_BAND"
    CLASS_CONTRADICTS_DEVICE = "CLASS_CONTRADICTS_DEVICE"
    VIEW_FROM_IMAGE = "VIEW_FROM_IMAGE"
    AP_FILM = "AP_FILM"
    POLARITY_WRONG = "POLARITY_WRONG"
    FILM_TURNED = "FILM_TURNED"
    SIDE_UNCERTAIN = "SIDE_UNCERTAIN"
    PRINT_FILLED = "PRINT_FILLED"
    PIXEL_SIZE_UNKNOWN = "PIXEL_SIZE_UNKNOWN"
    ROI_CUT = "ROI_CUT"


class OsteonError(Exception):
    """The root of every error that Osteon raises on purpose."""


class RetryableError(OsteonError):
    """The same call may succeed later."""


class PermanentError(OsteonError):
    """The same call will fail again."""


class Refusal(PermanentError):
    """A study, series or file is not measured.

    Parameters
    ----------
    code
        The machine-readable reason.
    text
        One sentence for a person: what was seen, and what would be needed.
    """

    def __init__(self, code: ReasonCode, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
