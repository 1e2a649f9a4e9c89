"""``config.yaml``: deployment alone, as pydantic models. :mod:`node.config_file` reads the file and says what is wrong with it."""

import difflib
import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import pydicom.uid
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydicom.uid import UID

from node.results.objects import ResultKind

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]*[\x21-\x5b\x5d-\x7e])?$")]
"""PS3.5 6.2, VR AE: at most 16 characters, no backslash, no control character, no padding."""

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
WorkflowName = Literal["ct", "cxr", "dxa"]


class Section(BaseModel):
    """A part of the configuration: immutable, closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Peer(Section):
    """A remote application entity that may send to the node."""

    ae_title: AeTitle
    hosts: tuple[str, ...] = Field((), description="Addresses it may come from. Empty: any.")


class Receiver(Section):
    """The Storage SCP."""

    ae_title: AeTitle = "OSTEON"
    host: str = Field("127.0.0.1", description="Address to listen on. 0.0.0.0 for all.")
    port: Port = 11112
    peers: tuple[Peer, ...] = Field((), description="Who may send. Empty: anybody who reaches the port.")
    check_called_ae_title: bool = Field(False, description="Reject an association that calls another AE title.")
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 25
    max_pdu_bytes: Annotated[int, Field(ge=4096, le=1048576)] = 131072
    network_timeout_s: Seconds = 60
    min_free_disk_mb: Annotated[int, Field(ge=0)] = Field(1024, description="Below this the node answers 0xA700 (out of resources).")


class Storage(Section):
    """Where things lie. Relative paths are relative to the folder of ``config.yaml``."""

    spool: Path = Path("data/spool")
    results: Path = Path("data/results")
    ledger: SecretStr = Field(SecretStr("sqlite:///data/osteon.db"), description="SQLAlchemy URL: SQLite or PostgreSQL.")


class Completion(Section):
    """When a study is taken as complete: no new instance for the quiet time of its slowest modality, or the maximum wait."""

    quiet_s: dict[str, Seconds] = Field(default_factory=lambda: {"CT": 60.0, "CR": 20.0, "DX": 20.0})
    default_quiet_s: Seconds = 60
    max_wait_s: Seconds = 3600
    tick_s: Seconds = 1


def _sop_class_uid(value: str) -> str:
    """The UID of a SOP class given by UID or keyword (PS3.6 table A-1)."""
    uid = UID(value if value[:1].isdigit() else getattr(pydicom.uid, value, ""))
    if uid.type == "SOP Class":
        return str(uid)
    keywords = [name for name, known in vars(pydicom.uid).items() if isinstance(known, UID) and known.type == "SOP Class"]
    near = difflib.get_close_matches(value, keywords, n=1)
    raise ValueError(f"{value!r} is no SOP class" + (f"; did you mean {near[0]!r}?" if near else ""))


SopClass = Annotated[str, AfterValidator(_sop_class_uid)]


class Match(Section):
    """Conditions on one series; all that are given must hold. Text is compared without case; words, not fragments."""

    modality: tuple[str, ...] = ()
    sop_class: tuple[SopClass, ...] = Field((), description="SOP Class UIDs or keywords (CTImageStorage).")
    body_part: tuple[str, ...] = Field((), description="Words of BodyPartExamined; an empty string allows a blank one.")
    view_position: tuple[str, ...] = Field((), description="ViewPosition; an empty string allows a blank one.")
    description_any: tuple[str, ...] = Field(
        (), description="At least one of these words in study, series, protocol or procedure step description."
    )
    description_none: tuple[str, ...] = Field((), description="None of these words there.")
    image_type_none: tuple[str, ...] = Field((), description="None of these values in ImageType.")
    body_part_none: tuple[str, ...] = Field((), description="None of these words in BodyPartExamined.")
    calling_ae_title: tuple[str, ...] = ()
    called_ae_title: tuple[str, ...] = ()
    min_instances: Annotated[int, Field(ge=1)] = 1


class Route(Section):
    """A named rule: which workflow a study gets, and where its results go. The first route that matches a study wins."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")]
    workflow: WorkflowName
    match: Match
    destinations: tuple[str, ...] = ()
    on_refusal: Literal["none", "text"] = Field("none", description="'text': a refusal, too, is written as a Basic Text SR.")


class Retry(Section):
    """When a delivery is tried again: ``first_s * factor ** (attempt - 1)``, at most ``max_s``, until ``give_up_after_s``."""

    first_s: Seconds = 30
    factor: Annotated[float, Field(ge=1)] = 2
    max_s: Seconds = 1800
    give_up_after_s: Seconds = 7 * 86400


class Destination(Section):
    """Where results go."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")]
    ae_title: AeTitle
    host: str
    port: Port
    calling_ae_title: AeTitle | None = Field(None, description="Our AE title towards it; the receiver's when absent.")
    send: tuple[ResultKind, ...] = ("seg", "sr", "text", "picture")
    timeout_s: Seconds = 60
    retry: Retry = Retry()


class Worker(Section):
    """The process that measures."""

    processes: Annotated[int, Field(ge=1, le=64)] = 1
    time_limit_s: Seconds = 900
    memory_limit_mb: Annotated[int, Field(ge=256)] = 8192
    lease_s: Seconds = 60
    max_crashes: Annotated[int, Field(ge=1)] = Field(2, description="A study that kills the worker this often is quarantined.")


class Calibration(Section):
    """HU to vBMD for one scanner at one tube voltage: ``vbmd_mg_cm3 = slope * hu + intercept``."""

    manufacturer: str
    model_name: str
    device_serial_number: str | None = None
    kvp: Annotated[float, Field(gt=0)]
    slope: float
    intercept: float
    material: Literal["K2HPO4", "HA"]
    source: Annotated[str, Field(min_length=1)] = Field(description="Phantom and date, shown beside the value.")


class BandThreshold(Section):
    """One edge of the band."""

    hu: float
    source: Annotated[str, Field(min_length=1)]


BundleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Masks(Section):
    """Vertebral masks from files, for ``segmenter: masks``."""

    path: Path | None = Field(None, description="A NIfTI or DICOM SEG, or a folder of them. Relative to the folder of config.yaml.")
    numbering: Literal["verse", "ctspine1k", "totalsegmentator"] = Field("verse", description="What the labels of NIfTI masks mean.")
    kind: Literal["whole", "bodies"] = Field("whole", description="whole: vertebrae with arch, from which the bodies are cut.")


class TotalSegmentator(Section):
    """The optional package of that name, for ``segmenter: totalsegmentator``."""

    weights: Path | None = Field(
        None, description="Folder with its unpacked weights; nothing is downloaded. Relative to the folder of config.yaml."
    )
    task: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = "total"
    fast: bool = Field(False, description="The 3 mm model: faster, coarser.")
    device: Annotated[str, Field(pattern=r"^(cpu|gpu|gpu:[0-9]+)$")] = "cpu"
    time_limit_s: Seconds = Field(850, description="Keep it below worker.time_limit_s.")


class CtWorkflow(Section):
    """Parameters of the CT workflow."""

    segmenter: Literal["classical", "network", "both", "totalsegmentator", "masks"] = Field(
        "both", description="both: the classical method measures, the network is its second reader. network: it measures alone."
    )
    masks: Masks = Masks()
    totalsegmentator: TotalSegmentator = TotalSegmentator()
    classifier: BundleName | None = Field(
        "medconv", description="Bundle that predicts the density class at L1 beside the measured attenuation. null: none is predicted."
    )
    experts: BundleName | None = Field(
        "vertebra-experts",
        description="Bundle that reads density and position of every vertebra beside the measured attenuation. null: none is read.",
    )
    densitometer: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None,
        description="Make on whose scale the experts say density, as their bundle lists it. null: the first of its list, which is named.",
    )
    leading: Literal["measurement", "classifier", "experts"] = Field(
        "measurement", description="Whose opinion leads where several are shown side by side; nobody leads in another's place."
    )
    roi: Literal["core", "ellipse"] = "core"
    core_erosion_mm: Annotated[float, Field(ge=2, le=10)] = 6.0
    high_sensitivity: BandThreshold = BandThreshold(hu=160, source="Pickhardt 2013, L1, 90 % sensitive for DXA osteoporosis")
    high_specificity: BandThreshold = BandThreshold(hu=110, source="Pickhardt 2013, L1, more than 90 % specific")
    fallback_levels: tuple[Literal["T11", "T12", "L1", "L2", "L3", "L4", "L5"], ...] = Field(
        ("L2", "T12"), description="Levels that may carry the band, in this order, when L1 is in view but excluded."
    )
    height_loss_exclude: Annotated[float, Field(gt=0, lt=1)] = Field(0.25, description="Exclude a body above this height ratio loss.")
    height_loss_warn: Annotated[float, Field(gt=0, lt=1)] = 0.20
    max_noise_hu: Annotated[float, Field(gt=0, le=100)] = Field(
        5.0, description="Exclude a level whose median noise alone may move by more than this (90 % of errors are smaller)."
    )
    max_slice_spacing_mm: Annotated[float, Field(gt=0)] = 5.0
    warn_slice_spacing_mm: Annotated[float, Field(gt=0)] = 3.0
    contrast_correction: bool = Field(False, description="Show a labelled corrected value beside the measured one.")
    kvp_correction: bool = False
    calibration: tuple[Calibration, ...] = ()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "CtWorkflow":
        if self.segmenter == "masks" and self.masks.path is None:
            raise ValueError("segmenter masks needs masks.path: a mask file or a folder of them")
        if self.segmenter == "totalsegmentator" and self.totalsegmentator.weights is None:
            raise ValueError("segmenter totalsegmentator needs totalsegmentator.weights: the folder of its weights (docs/segmenters.md)")
        return self

    @model_validator(mode="after")
    def _leader_is_asked(self) -> "CtWorkflow":
        if self.leading != "measurement" and getattr(self, self.leading) is None:
            raise ValueError(f"leading: {self.leading} needs workflows.ct.{self.leading}: the name of a bundle")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> "CtWorkflow":
        if self.high_specificity.hu >= self.high_sensitivity.hu:
            raise ValueError("high_specificity.hu must lie below high_sensitivity.hu: two cut-offs that contradict each other help nobody")
        if self.height_loss_warn > self.height_loss_exclude:
            raise ValueError("height_loss_warn must not exceed height_loss_exclude")
        return self


class CxrReference(Section):
    """Which young reference a T-score of a chest film is made with. The densitometer is the one that the model's bundle names."""

    table: Path | None = Field(
        None, description="The site's own table, in the form of inference/cxr/references.json. Relative to the folder of config.yaml."
    )
    sex_policy: Literal["female-for-all", "own-sex"] = Field(
        "female-for-all", description="female-for-all: women's reference for everybody (ISCD). own-sex: the patient's own; unknown, none."
    )
    accepted: tuple[str, ...] = Field((), description="Names of references that are not verified in their source and may be used here.")
    preferred: str = Field("", description="Name of the reference to take where several fit.")


class CxrWorkflow(Section):
    """Parameters of the chest radiograph workflow."""

    landmarks: BundleName = Field("cxr-landmarks", description="Bundle that finds the bones on a film.")
    model: BundleName | None = Field("cxr-bmd", description="Bundle that estimates areal bone density from them. null: none is estimated.")
    thresholds: Literal["-1.75", "-2", "-2.25", "-2.5", "flex"] = Field(
        "-2.5", description="Estimated T-score at or below which a level is low and DXA is recommended; flex: -2.2, -2.1, -2.0, -1.9."
    )
    reference: CxrReference = CxrReference()

    @field_validator("thresholds", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        """YAML reads -2.5 as a number."""
        return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


class DxaWorkflow(Section):
    """Parameters of the DXA workflow."""

    classifier: BundleName | None = Field(
        "dxa-cnn21",
        description="Bundle that gives the probability of osteoporosis beside the device's own values. null: none is predicted.",
    )


class Workflows(Section):
    """Parameters per workflow."""

    ct: CtWorkflow = CtWorkflow()
    cxr: CxrWorkflow = CxrWorkflow()
    dxa: DxaWorkflow = DxaWorkflow()


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class Bundles(Section):
    """The models of the site, beside those that come with Osteon."""

    folder: Path = Field(Path("data/bundles"), description="Where osteon bundles install puts them. Relative to the folder of config.yaml.")
    allow_simulated: bool = Field(
        False, description="Let a model measure or predict that was trained on simulated patients or anatomy. Every result says so."
    )
    pinned: dict[BundleName, Sha256] = Field(
        default_factory=dict, description="SHA-256 by name, as osteon bundles list prints it: no other bundle of that name runs."
    )


class Logging(Section):
    """What is logged, to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def _unique_names(items: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [item.name for item in items]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ValueError(f"the name {double!r} is used twice")
    return items


def _at(path: tuple[str | int, ...], text: str) -> PydanticCustomError:
    """A complaint about another place than the one being validated; ``config_file`` turns the path into a line."""
    return PydanticCustomError("cross_reference", "{text}", {"text": text, "path": path})


class Config(Section):
    """The whole of ``config.yaml``."""

    receiver: Receiver = Receiver()
    storage: Storage = Storage()
    completion: Completion = Completion()
    routes: Annotated[tuple[Route, ...], AfterValidator(_unique_names)] = ()
    destinations: Annotated[tuple[Destination, ...], AfterValidator(_unique_names)] = ()
    worker: Worker = Worker()
    workflows: Workflows = Workflows()
    bundles: Bundles = Bundles()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _destinations_exist(self) -> "Config":
        known = [destination.name for destination in self.destinations]
        for route_index, route in enumerate(self.routes):
            for index, name in enumerate(route.destinations):
                if name not in known:
                    near = difflib.get_close_matches(name, known, n=1)
                    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
                    raise _at(("routes", route_index, "destinations", index), f"{name!r} is not a destination; {hint}")
        return self

    def destination(self, name: str) -> Destination:
        """The destination of this name.

        Raises
        ------
        KeyError
            No destination is called so.
        """
        for destination in self.destinations:
            if destination.name == name:
                return destination
        raise KeyError(name)

    @property
    def sha256(self) -> str:
        """Hash of everything that can change a number or a decision: routes, workflows and which models may run, not ports and paths."""
        places = {"workflows": {"ct": {"masks": {"path"}, "totalsegmentator": {"weights", "time_limit_s"}}}}
        text = self.model_dump_json(include={"routes": True, "workflows": True, "bundles": {"allow_simulated", "pinned"}}, exclude=places)
        return hashlib.sha256(text.encode()).hexdigest()
