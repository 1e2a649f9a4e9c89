"""A chest film by C-STORE into a node and back to a PACS: however it is stored, the same densities; what is no frontal film, a reason."""

from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import yaml
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, RLELossless, generate_uid

from inference.cxr.rois import ROI_NAMES
from node.app import Node
from node.config import Bundles
from node.ledger.records import StudyReport
from node.states import DeliveryState, StudyState
from tests.inference.cxr.films import dataset, decided, put, simulated, stored, with_text
from tests.inference.cxr.made_models import true_landmarks, write_density, write_landmarks
from tests.node.results.test_density_class import code, items, texts
from tests.node.support import Pacs, machine_config, send, until, with_destination
from training.simulation.xray.film_dicom import FilmFormat

pytestmark = pytest.mark.acceptance

ENDED = (StudyState.DONE, StudyState.REFUSED, StudyState.QUARANTINED)
SR, TEXT, PICTURE = "Comprehensive 3D SR Storage", "Basic Text SR Storage", "Secondary Capture Image Storage"
STUDIED = {"L1": (0.90, 0.90), "L2": (0.90, 0.90), "L3": (0.90, 0.90), "L4": (0.90, 0.90)}


def monochrome1(ds: Dataset) -> None:
    ds.PhotometricInterpretation, ds.PresentationLUTShape = "MONOCHROME1", "INVERSE"
    ds.PixelData = (4095 - stored(ds)).astype("<u2").tobytes()


def lying(ds: Dataset) -> None:
    put(ds, np.rot90(stored(ds)))
    ds.PatientOrientation = None


def numbered(ds: Dataset) -> None:
    put(ds, with_text(stored(ds), "4711", (3, ds.Rows - 20)))


def ten_bits(ds: Dataset) -> None:
    put(ds, stored(ds) >> 2, 10)


def studies() -> dict[str, Dataset]:
    """One film in many forms, each a study of its own, and two that must not be read."""
    found = {
        "DX": dataset("PA"),
        "CR": dataset("PA", form=FilmFormat.CR),
        "MONOCHROME1": dataset("PA", change=monochrome1),
        "lying": dataset("PA", change=lying),
        "number": dataset("PA", change=numbered),
        "10 bit": dataset("PA", change=ten_bits),
        "RLE": dataset("PA"),
        "JPEG-LS": dataset("PA"),
        "lateral": dataset("lateral", view_in_header=False),
        "for processing": dataset("PA", form=FilmFormat.DX_FOR_PROCESSING),
    }
    found["RLE"].compress(RLELossless, generate_instance_uid=False)
    found["JPEG-LS"].compress(JPEGLSLossless, generate_instance_uid=False)
    for number, (name, ds) in enumerate(found.items()):
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = f"FILM{number}", "Film^Chest", "19500102", "F"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = (generate_uid(entropy_srcs=[name, what]) for what in "abc")
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    return found


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What was sent, what came to the PACS and what the ledger has, by study name."""

    sent: dict[str, Dataset]
    received: dict[str, dict[str, Dataset]]
    reports: dict[str, StudyReport]


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    folder: Path = tmp_path_factory.mktemp("cxr")
    film = decided(dataset("PA")).film
    assert film is not None
    write_landmarks(folder / "bundles" / "cxr-landmarks", true_landmarks(simulated("PA"), film), film.image.shape)
    write_density(folder / "bundles" / "cxr-bmd", STUDIED, sd=0.4)
    sent = studies()
    shipped = yaml.safe_load((Path(__file__).resolve().parents[2] / "config.yaml").read_text())
    routes = [{**route, "destinations": ["pacs"], "on_refusal": "text"} for route in shipped["routes"]]
    with Pacs() as pacs:
        config = machine_config(folder, **{**with_destination(pacs.port), "routes": routes}).model_copy(
            update={"bundles": Bundles(folder=folder / "bundles", allow_simulated=True)}
        )
        with Node(config) as node:
            for ds in sent.values():
                assert set(send(node.port, [ds])) == {0}
            until(lambda: sum(study.state in ENDED for study in node.ledger.studies()) == len(sent), "every study ends", 150)
            until(lambda: not node.ledger.deliveries(states=[DeliveryState.PENDING]), "every result is at the PACS", 60)
            reports = {name: node.ledger.study(str(ds.StudyInstanceUID)) for name, ds in sent.items()}
        received = {
            name: {item.SOPClassUID.name: item for item in pacs.received if item.StudyInstanceUID == ds.StudyInstanceUID}
            for name, ds in sent.items()
        }
    return Answered(sent=sent, received=received, reports=reports)


def densities(report: Dataset) -> dict[str, float]:
    """Mean density by level, as the SR states it, each with what its model learned from."""
    found = {}
    for item in items(report):
        if code(item) == "cxr-bmd" and item.ValueType == "NUM":
            (how,) = [child for child in item.ContentSequence if code(child) == "121401"]
            (site,) = [child for child in item.ContentSequence if code(child) == "363698007"]
            assert "model trained on simulated patients" in texts(item)
            if how.ConceptCodeSequence[0].CodeMeaning == "Mean":
                found[str(site.ConceptCodeSequence[0].CodeMeaning)[:2]] = float(item.MeasuredValueSequence[0].NumericValue)
    return found


READ = ("DX", "CR", "MONOCHROME1", "lying", "number", "10 bit", "RLE", "JPEG-LS")


@pytest.mark.parametrize("name", READ)
def test_the_film_is_read_and_its_densities_reach_the_pacs(answered: Answered, name: str) -> None:
    objects, film = answered.received[name], answered.sent[name]
    assert set(objects) == {SR, TEXT, PICTURE}
    assert answered.reports[name].summary.state is StudyState.DONE
    content = hd.sr.Comprehensive3DSR.from_dataset(objects[SR]).content
    groups = content.get_planar_roi_measurement_groups()
    assert len(groups) == 1 + len(ROI_NAMES)
    on = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for group in groups
        for item in items(group[0])
        if "ReferencedSOPSequence" in item
    }
    assert on == {str(film.SOPInstanceUID)}
    assert set(densities(objects[SR])) == {"L1", "L2", "L3", "L4"}
    for ds in objects.values():
        assert (ds.PatientID, ds.StudyInstanceUID) == (film.PatientID, film.StudyInstanceUID)
    assert any("By a model trained on simulated patients." in line for line in texts(objects[TEXT]))


@pytest.mark.parametrize("name", READ[1:])
def test_one_film_has_one_answer_however_it_is_stored(answered: Answered, name: str) -> None:
    first, other = densities(answered.received["DX"][SR]), densities(answered.received[name][SR])
    assert other == pytest.approx(first, abs=0.0101), "one unit of the last printed digit"
    assert max(abs(value - 0.9) for value in first.values()) > 0.02, "these networks look at the film"


def test_what_is_no_frontal_film_for_presentation_comes_back_with_its_reason(answered: Answered) -> None:
    for name, reason in (("lateral", "NOT_FRONTAL"), ("for processing", "FOR_PROCESSING")):
        assert set(answered.received[name]) == {TEXT}
        assert answered.reports[name].summary.state is StudyState.REFUSED
        assert answered.reports[name].summary.reason_code in (reason, "WRONG_BODY_PART")
        assert any(line.startswith("NOT MEASURED: ") for line in texts(answered.received[name][TEXT]))
