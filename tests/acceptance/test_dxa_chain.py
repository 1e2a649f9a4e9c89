"""DXA as densitometers export it, by C-STORE into a node and back to a PACS: the right image, every other one's reason, one probability."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import yaml
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from inference.bundles import Bundle
from inference.dxa.classify import spine_probabilities
from inference.dxa.crop import crop_spine
from inference.dxa.patient import OSTEOPOROSIS
from node.app import Node
from node.config import Bundles, DxaWorkflow, Workflows
from node.ledger.records import StudyReport
from node.states import DeliveryState, StudyState
from tests.inference.dxa.made_classifier import write_spine_classifier
from tests.inference.dxa.scans import bordered, pixels, regions
from tests.node.results.test_density_class import code, items, texts
from tests.node.support import Pacs, machine_config, send, until, with_destination
from tests.training.xray_patients import dxa
from training.simulation.xray.dxa_dicom import AP_SPINE, REPORT, DxaOptions, write_dxa
from training.simulation.xray.dxa_page import report_page

pytestmark = pytest.mark.acceptance

ENDED = (StudyState.DONE, StudyState.REFUSED, StudyState.QUARANTINED)
REGIONS = ("Left Femur", "Right Femur", "LVA", "Left Ortho Knee", "Total Body")
Edit = Callable[[Dataset, NDArray[np.uint8]], None]


def palette(ds: Dataset, image: NDArray[np.uint8]) -> None:
    """Stored upside down, and put right by the table."""
    ds.PhotometricInterpretation = "PALETTE COLOR"
    ds.PixelData = (255 - image).tobytes()
    table = (np.arange(255, -1, -1, dtype=np.uint16) * 257).astype("<u2").tobytes()
    for colour in ("Red", "Green", "Blue"):
        ds.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        ds.add_new(f"{colour}PaletteColorLookupTableData", "OW", table)


def sixteen_bits(ds: Dataset, image: NDArray[np.uint8]) -> None:
    """The whole range of 16 bits, and the window that shows it."""
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelData = (image.astype("<u2") * 257).tobytes()
    ds.WindowCenter, ds.WindowWidth = "32768", "65536"


def monochrome1(ds: Dataset, image: NDArray[np.uint8]) -> None:
    ds.PhotometricInterpretation = "MONOCHROME1"
    ds.PixelData = (255 - image).tobytes()


EDITS: dict[str, Edit] = {"PALETTE COLOR": palette, "16 bit": sixteen_bits, "MONOCHROME1": monochrome1}


def of_new_study(ds: Dataset) -> Dataset:
    copy = deepcopy(ds)
    copy.StudyInstanceUID, copy.SeriesInstanceUID, copy.SOPInstanceUID = generate_uid(), generate_uid(), generate_uid()
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    return copy


def exports(folder: Path) -> dict[str, list[Dataset]]:
    """Studies by their name; the first instance of each is its AP spine, where it has one."""
    idxa = write_dxa(dxa("GE Lunar"), folder / "idxa", DxaOptions(others=tuple(regions().values())))
    apex = write_dxa(dxa("Hologic"), folder / "apex")
    studies = {"iDXA": [pydicom.dcmread(path) for path in idxa.values()], "APEX": [pydicom.dcmread(path) for path in apex.values()]}
    for ds in studies["iDXA"]:
        del ds.PerformedProcedureStepDescription  # a real export may name the region in Protocol Name alone
        assert (ds.Modality, "PixelSpacing" in ds, ds.SeriesInstanceUID) == ("CR", False, studies["iDXA"][0].SeriesInstanceUID)
    page = of_new_study(pydicom.dcmread(apex[REPORT]))
    picture = np.ascontiguousarray(report_page(dxa("GE Lunar")))
    picture = picture[:, : picture.shape[1] // 2 * 2]
    page.Manufacturer, page.ImageComments, page.SeriesDescription, page.BodyPartExamined = "GE Healthcare", "", "DXA", ""
    page.Rows, page.Columns = picture.shape[:2]
    page.PixelData = np.ascontiguousarray(picture).tobytes()
    studies["page"] = [page]
    plain = studies["APEX"][0]
    for name, edit in EDITS.items():
        studies[name] = [of_new_study(plain)]
        edit(studies[name][0], plain.pixel_array)
    return studies


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What was sent, what came to the PACS and what the ledger has, by study name; and the model that read the spines."""

    sent: dict[str, list[Dataset]]
    received: dict[str, dict[str, Dataset]]
    reports: dict[str, StudyReport]
    bundle: Bundle


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    folder: Path = tmp_path_factory.mktemp("dxa")
    bundle = write_spine_classifier(folder / "bundles" / "made", name="made")
    sent = exports(folder / "in")
    shipped = yaml.safe_load((Path(__file__).resolve().parents[2] / "config.yaml").read_text())
    routes = [{**route, "destinations": ["pacs"], "on_refusal": "text"} for route in shipped["routes"]]
    with Pacs() as pacs:
        config = machine_config(folder, **{**with_destination(pacs.port), "routes": routes}).model_copy(
            update={
                "bundles": Bundles(folder=folder / "bundles", allow_simulated=True),
                "workflows": Workflows(dxa=DxaWorkflow(classifier="made")),
            }
        )
        with Node(config) as node:
            for instances in sent.values():
                assert set(send(node.port, instances)) == {0}
            until(lambda: sum(study.state in ENDED for study in node.ledger.studies()) == len(sent), "every study ends", 150)
            until(lambda: not node.ledger.deliveries(states=[DeliveryState.PENDING]), "every result is at the PACS", 60)
            reports = {name: node.ledger.study(str(instances[0].StudyInstanceUID)) for name, instances in sent.items()}
        received = {
            name: {ds.SOPClassUID.name: ds for ds in pacs.received if ds.StudyInstanceUID == instances[0].StudyInstanceUID}
            for name, instances in sent.items()
        }
    return Answered(sent=sent, received=received, reports=reports, bundle=bundle)


SR, TEXT, PICTURE = "Comprehensive 3D SR Storage", "Basic Text SR Storage", "Secondary Capture Image Storage"


def image_of(report: Dataset) -> set[str]:
    """The image that the report's outlines lie on."""
    content = hd.sr.Comprehensive3DSR.from_dataset(report).content
    groups = content.get_planar_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups][1:] == ["L1", "L2", "L3", "L4"]
    return {
        str(child.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for group in groups
        for child in items(group[0])
        if "ReferencedSOPSequence" in child
    }


def percent(report: Dataset) -> int:
    """The probability of osteoporosis, in whole per cent."""
    (item,) = [item for item in items(report) if code(item) == "dcp-osteoporosis"]
    assert "model trained on simulated patients" in texts(item)
    return int(item.MeasuredValueSequence[0].NumericValue)


@pytest.mark.parametrize("name", ["iDXA", "APEX", *EDITS])
def test_the_spine_is_read_and_its_probability_reaches_the_pacs(answered: Answered, name: str) -> None:
    objects, spine = answered.received[name], answered.sent[name][0]
    assert set(objects) == {SR, TEXT, PICTURE}
    assert image_of(objects[SR]) == {str(spine.SOPInstanceUID)}
    assert answered.reports[name].summary.state is StudyState.DONE
    roi = crop_spine(pixels(bordered("GE Lunar" if name == "iDXA" else "Hologic")), (150, 150))
    expected = spine_probabilities(roi, answered.bundle)[OSTEOPOROSIS]
    assert percent(objects[SR]) == pytest.approx(100 * expected, abs=1.0)
    for ds in objects.values():
        assert (ds.PatientID, ds.StudyInstanceUID) == (spine.PatientID, spine.StudyInstanceUID)
    assert any("model trained on simulated patients" in line for line in texts(objects[TEXT]))


def test_one_picture_gives_one_probability_however_it_is_stored(answered: Answered) -> None:
    found = {name: percent(answered.received[name][SR]) for name in ("APEX", *EDITS)}
    assert len(set(found.values())) == 1, found
    assert 2 < found["APEX"] < 98, "this network could have said something else"


def test_the_other_five_regions_of_the_series_are_refused_by_name(answered: Answered) -> None:
    findings = answered.reports["iDXA"].findings
    assert findings is not None
    images = {item["sop_instance_uid"]: item for item in findings["dxa"]["images"]}
    by_region = {str(ds.ProtocolName): images[str(ds.SOPInstanceUID)] for ds in answered.sent["iDXA"]}
    assert set(by_region) == {AP_SPINE, *REGIONS}
    assert [name for name, item in by_region.items() if item["used"]] == [AP_SPINE]
    assert {by_region[name]["reason"]["code"] for name in REGIONS} == {"WRONG_BODY_PART"}
    assert all(f"Protocol Name is '{name}'" in by_region[name]["because"] for name in REGIONS)
    said = texts(answered.received["iDXA"][TEXT])
    for what in ("a hip or femur", "a knee", "a lateral view of the spine", "the total body"):
        assert any(what in line and "WRONG_BODY_PART" in line for line in said), what


def test_a_report_page_is_refused_beside_the_scan_and_alone(answered: Answered) -> None:
    beside = answered.reports["APEX"].findings
    assert beside is not None
    assert [item["reason"]["code"] for item in beside["dxa"]["images"] if not item["used"]] == ["REPORT_PAGE"]
    alone = answered.reports["page"]
    assert (alone.summary.state, alone.summary.reason_code) == (StudyState.REFUSED, "REPORT_PAGE")
    assert set(answered.received["page"]) == {TEXT}
    (head,) = [line for line in texts(answered.received["page"][TEXT]) if line.startswith("NOT MEASURED: REPORT_PAGE")]
    assert "by its looks" in head, "the header said nothing of a page"
