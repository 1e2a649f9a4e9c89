"""The main job as a hospital runs it: storescu sends a CT, the node answers, Orthanc holds SEG, SR, text and picture."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from tests.acceptance.running import NODE_PORT, serving, write_config
from tests.node.support import until
from tests.paths import real_image
from tests.peers.dcmtk import dcmtk
from tests.peers.orthanc import OrthancPeer, orthanc
from tests.real.studies import labels_on_volume, nifti_to_dicom, volume_from_nifti

pytestmark = pytest.mark.acceptance

RESULTS = {"Segmentation Storage", "Comprehensive 3D SR Storage", "Basic Text SR Storage", "Secondary Capture Image Storage"}
LABELS = {"L1": 31, "L2": 30, "L3": 29, "L4": 28, "L5": 27}
REFERENCE_HU = {"L1": 111, "L2": 113, "L3": 108, "L4": 110}
"""Trabecular mean of abdomen_native_3mm inside the reference masks, eroded by 6 mm (the data's README)."""


def send(peer: OrthancPeer, folder: Path) -> None:
    done = peer.run([dcmtk("storescu"), "+sd", "+r", "-R", "-aec", "OSTEON", "127.0.0.1", str(NODE_PORT), str(folder)])
    assert done.returncode == 0, done.stderr


def results_at(peer: OrthancPeer) -> dict[str, str]:
    """Orthanc's ID of every result object, by SOP class name."""
    return {pydicom.uid.UID(row["SOPClassUID"]).name: row["ID"] for row in peer.instances()}


def osteon(peer: OrthancPeer, *arguments: str) -> str:
    done = peer.run([sys.executable, "-m", "node.cli", *arguments])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def abdomen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ct = real_image("ct/abdomen_native_3mm/ct.nii.gz")
    return nifti_to_dicom(ct, tmp_path_factory.mktemp("abdomen"), patient_id="ABDOMEN")


def test_a_real_ct_comes_back_as_seg_and_sr(tmp_path: Path, abdomen: Path) -> None:
    with orthanc(tmp_path / "orthanc") as peer:
        config = write_config(tmp_path)
        with serving(peer, config):
            send(peer, abdomen)
            until(lambda: set(results_at(peer)) == RESULTS, "four result objects at Orthanc", 180)
            files = {
                name: peer.download(identifier, tmp_path / f"{index}.dcm")
                for index, (name, identifier) in enumerate(results_at(peer).items())
            }
            rows = [json.loads(line) for line in osteon(peer, "studies", "--config", str(config), "--json").splitlines()]
            assert [(row["state"], row["route"], row["instances"]) for row in rows] == [("done", "ct", 112)]
            until(
                lambda: osteon(peer, "deliveries", "--config", str(config), "--json").count('"delivered"') == 4,
                "four deliveries on record",
                60,
            )
            send(peer, abdomen)  # the same instances again: no second run, no second set of results
            time.sleep(3)
            assert Counter(row["SOPClassUID"] for row in peer.instances()).most_common(1)[0][1] == 1
            report = json.loads(osteon(peer, "show", rows[0]["study_uid"], "--config", str(config), "--json"))
            assert report["instances"][0]["duplicates"] == 1
            assert [job["attempts"] for job in report["jobs"]] == [1]
        check_seg(files["Segmentation Storage"], abdomen)
        check_sr(files["Comprehensive 3D SR Storage"])
        check_identity(files, abdomen)


def check_seg(path: Path, source: Path) -> None:
    """Every lumbar body overlaps the reference by a Dice of at least 0.85, on the pixels of the source images."""
    reference_vertebrae = real_image("ct/abdomen_native_3mm/vertebrae.nii.gz")
    reference_bodies = real_image("ct/abdomen_native_3mm/vertebral_bodies.nii.gz")
    volume = volume_from_nifti(real_image("ct/abdomen_native_3mm/ct.nii.gz"))
    vertebrae = labels_on_volume(reference_vertebrae, volume)
    body = labels_on_volume(reference_bodies, volume) == 1
    by_position = {
        round(float(pydicom.dcmread(file, stop_before_pixels=True).ImagePositionPatient[2]), 2): file for file in source.rglob("*.dcm")
    }
    z_of = [round(float(volume.to_lps_mm(np.array([[k, 0, 0]]))[0, 2]), 2) for k in range(volume.hu.shape[0])]
    assert set(z_of) == set(by_position)
    seg = hd.seg.segread(path)
    uids = [pydicom.dcmread(by_position[z], stop_before_pixels=True).SOPInstanceUID for z in z_of]
    dice = {}
    for number in seg.segment_numbers:
        level = seg.get_segment_description(number).segment_label
        if level not in LABELS:  # the regions of interest: "L1 core", "L1 ellipse"
            continue
        mask = seg.get_pixels_by_source_instance(
            uids, segment_numbers=[number], ignore_spatial_locations=True, assert_missing_frames_are_empty=True
        )
        found = np.asarray(mask)[..., 0] > 0
        truth = (vertebrae == LABELS[level]) & body
        dice[level] = 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())
    assert set(dice) == set(LABELS)
    assert min(dice.values()) >= 0.85, dice


def check_sr(path: Path) -> None:
    """The numbers that a reader of the SR finds are those of the reference, and the notice is there."""
    sr = hd.sr.srread(path)
    found = {}
    for group in sr.content.get_volumetric_roi_measurement_groups():
        level = group.finding_sites[0].value.meaning.removesuffix(" vertebra")
        means = [m.value for m in group.get_measurements() if m.derivation is not None and m.derivation.meaning == "Mean"]
        if level in REFERENCE_HU and means:
            found[level] = float(means[0])  # core before ellipse
    assert found == pytest.approx(REFERENCE_HU, abs=8)
    texts = [str(element.value) for element in sr.iterall() if element.keyword == "TextValue"]
    assert any("Does not replace DXA" in text for text in texts)
    assert sr.VerificationFlag == "UNVERIFIED"


def check_identity(files: dict[str, Path], source: Path) -> None:
    """Patient and study are copied, nothing is invented."""
    first = pydicom.dcmread(next(source.rglob("*.dcm")), stop_before_pixels=True)
    for path in files.values():
        result = pydicom.dcmread(path, stop_before_pixels=True)
        assert result.PatientID == first.PatientID
        assert result.StudyInstanceUID == first.StudyInstanceUID
        assert str(result.get("PatientSex", "")) == str(first.get("PatientSex", ""))
        assert "PatientAge" not in result or result.PatientAge == first.get("PatientAge")
