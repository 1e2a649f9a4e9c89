"""Splits: no patient in two parts, whatever the manifest; shares and classes within a patient; nobody moves when patients are added."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from tests.training.data.made import patients
from training.data.checks import patient_key
from training.data.content import content_of
from training.data.dealing import allocate
from training.data.grouping import group_rows
from training.data.labels import LABELS
from training.data.manifest import Manifest, ManifestRow, Modality, manifest_of
from training.data.split_file import count_patients, load_or_make_split, load_split, save_split
from training.data.splits import EXTERNAL, TEST, TRAIN, VALIDATION, Split, SplitOptions, extend_split, given_split, make_split
from training.errors import TrainingError

pytestmark = pytest.mark.unit

_IDS = st.sampled_from(["1", "01", "P1", "p-1", "2", "P2", "3", "4", "5", "6", "7", "8", "9", "A", "a", "B"])
_UIDS = st.sampled_from([None] * 4 + ["1.1", "1.2", "1.3"])  # sparse: where all is linked nothing is tested
_ANY_ROWS = st.lists(
    st.builds(
        ManifestRow,
        patient_id=_IDS,
        modality=st.sampled_from(Modality),
        path=st.sampled_from([None] * 4 + [Path("a"), Path("b"), Path("c"), Path("d")]),
        study_uid=_UIDS,
        series_uid=_UIDS,
        label=st.none() | st.sampled_from(LABELS),
        site=st.sampled_from(["X", "Y"]),
        excluded_because=st.sampled_from([None] * 7 + ["metal"]),
    ),
    min_size=1,
    max_size=12,
)
_OPTIONS = st.one_of(
    st.builds(
        SplitOptions,
        seed=st.integers(0, 5),
        test=st.sampled_from([0.0, 0.3, 0.5]),
        validation=st.sampled_from([0.1, 0.3]),
        stratify=st.sampled_from([(), ("label",), ("label", "site")]),
        method=st.sampled_from(["ranked", "hashed"]),
    ),
    st.builds(SplitOptions, seed=st.integers(0, 5), test=st.sampled_from([0.0, 0.3]), folds=st.integers(2, 5)),
)


def assert_clean(split: Split, manifest: Manifest, content: dict[Path, frozenset[str]] | None = None) -> None:
    """No two rows of different parts share anything that could make them one patient; every used row has a part."""
    for first in manifest.used:
        for second in manifest.used:
            if split.part_of(first) == split.part_of(second):
                continue
            assert patient_key(first.patient_id) != patient_key(second.patient_id)
            for name in ("path", "study_uid", "series_uid"):
                assert getattr(first, name) is None or getattr(first, name) != getattr(second, name)
            if content and first.path and second.path:
                assert not content[first.path] & content[second.path]
    parts = [row for part in split.names for row in split.rows(manifest, part)]
    assert len(parts) == len(manifest.used)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_ANY_ROWS, _OPTIONS)
def test_no_patient_is_in_two_parts(rows: list[ManifestRow], options: SplitOptions) -> None:
    manifest = manifest_of(rows)
    content = {Path(name): frozenset({name, "copy" if name in "abd" else name}) for name in "abcd"}
    if not manifest.used:
        with pytest.raises(TrainingError, match="nothing to split"):
            make_split(manifest, options, content=content)
        return
    split = make_split(manifest, options, content=content)
    assert_clean(split, manifest, content)
    if options.folds is not None:
        for fold in split.folds(manifest):
            assert not {row.patient_id for row in fold.train} & {row.patient_id for row in fold.validation}
            assert len(fold.train) + len(fold.validation) + len(split.rows(manifest, *[TEST] * (TEST in split.names))) == len(manifest.used)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_ANY_ROWS, _ANY_ROWS, _OPTIONS)
def test_an_extended_split_moves_nobody_and_stays_clean(rows: list[ManifestRow], more: list[ManifestRow], options: SplitOptions) -> None:
    before, after = manifest_of(rows), manifest_of([*rows, *more])
    if not before.used:
        return
    split = make_split(before, options)
    if any(len({split.parts[name] for name in group.patients if name in split.parts}) > 1 for group in group_rows(after)):
        with pytest.raises(TrainingError, match="are linked, but were dealt to"):  # an error, never a leak
            extend_split(split, after)
        return
    extended = extend_split(split, after)
    assert_clean(extended, after)
    assert all(extended.parts[name] == split.parts[name] for name in split.parts)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 40), max_size=12), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_allocation_keeps_every_share_within_one(sizes: list[int], weights: list[int]) -> None:
    shares = [weight / sum(weights) for weight in weights]
    table = allocate(sizes, shares)
    for size, counts in zip(sizes, table, strict=True):
        assert sum(counts) == size
        assert all(abs(count - size * share) < 1.0 for count, share in zip(counts, shares, strict=True))
    totals = np.sum(table, axis=0) if table else np.zeros(len(shares))
    assert np.all(np.abs(totals - sum(sizes) * np.array(shares)) <= len(shares))


def test_many_small_strata_do_not_all_favour_one_part() -> None:
    table = np.sum(allocate([1] * 100, [0.7, 0.1, 0.2]), axis=0)
    assert table.tolist() == [70, 10, 20]


def test_classes_are_kept_in_every_part() -> None:
    manifest = patients(200)
    split = make_split(manifest, SplitOptions(seed=3))
    assert count_patients(split, manifest) == {
        TRAIN: {"normal": 84, "osteopenia": 42, "osteoporosis": 14},
        VALIDATION: {"normal": 12, "osteopenia": 6, "osteoporosis": 2},
        TEST: {"normal": 24, "osteopenia": 12, "osteoporosis": 4},
    }


def test_a_split_follows_its_seed_and_not_the_order_of_rows() -> None:
    manifest = patients(60, studies=2)
    split = make_split(manifest, SplitOptions(seed=1))
    assert make_split(manifest_of(reversed(manifest.rows)), SplitOptions(seed=1)).parts == split.parts
    assert make_split(manifest, SplitOptions(seed=2)).parts != split.parts


def test_hashed_splits_need_no_file_to_keep_patients_in_place() -> None:
    options = SplitOptions(method="hashed", seed=4)
    small, large = make_split(patients(100), options).parts, make_split(patients(2000), options).parts
    assert all(large[name] == part for name, part in small.items())
    counts = Counter(large.values())
    assert counts[TEST] == pytest.approx(400, abs=60)
    assert counts[VALIDATION] == pytest.approx(200, abs=45)


def test_extending_keeps_the_balance() -> None:
    options = SplitOptions(seed=5)
    extended = extend_split(make_split(patients(50), options), patients(200))
    counts = count_patients(extended, patients(200))
    for part, share in options.fractions.items():
        for label, size in (("normal", 120), ("osteopenia", 60), ("osteoporosis", 20)):
            assert counts[part][label] == pytest.approx(size * share, abs=2)


def test_folds_validate_every_patient_once_and_leave_the_test_part_alone() -> None:
    manifest = patients(100)
    split = make_split(manifest, SplitOptions(folds=5, test=0.3))
    folds = list(split.folds(manifest))
    assert [fold.number for fold in folds] == [1, 2, 3, 4, 5]
    assert {len(fold.validation) for fold in folds} <= {13, 14, 15}
    validated = Counter(row.patient_id for fold in folds for row in fold.validation)
    assert set(validated.values()) == {1}
    assert set(validated).isdisjoint(row.patient_id for row in split.rows(manifest, TEST))
    with pytest.raises(TrainingError, match="has no folds"):
        next(make_split(manifest).folds(manifest))


def test_a_site_is_held_out() -> None:
    manifest = patients(40, sites=("A", "B", "C", "D"))
    split = make_split(manifest, SplitOptions(hold_out_sites=("D",)))
    assert {row.site for row in split.rows(manifest, EXTERNAL)} == {"D"}
    assert len(split.rows(manifest, EXTERNAL)) == 10
    assert "D" not in {row.site for row in split.rows(manifest, TRAIN, VALIDATION, TEST)}
    with pytest.raises(TrainingError, match="no patient is from site E; the sites are: A, B, C, D"):
        make_split(manifest, SplitOptions(hold_out_sites=("E",)))


def test_a_patient_of_two_sites_is_not_external() -> None:
    rows = [ManifestRow(patient_id="1", modality=Modality.CT, path=Path(site), site=site) for site in "AD"]
    manifest = manifest_of([*rows, ManifestRow(patient_id="2", modality=Modality.CT, site="A")])
    with pytest.raises(TrainingError, match="ids_per_site"):
        make_split(manifest, SplitOptions(hold_out_sites=("D",)))
    split = make_split(manifest, SplitOptions(hold_out_sites=("D",), ids_per_site=True, test=0.0, validation=0.0))
    assert split.parts == {"A/1": TRAIN, "D/1": EXTERNAL, "A/2": TRAIN}
    with pytest.raises(TrainingError, match="has no site"):
        make_split(patients(3), SplitOptions(ids_per_site=True))


def test_the_same_pixels_under_two_ids_are_one_patient(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (3, 8, 8), dtype=np.uint8)
    images = {"a.png": noise[0], "b.png": noise[1], "copy of a.tif": noise[0], "blank.png": noise[2] * 0, "blank 2.png": noise[2] * 0}
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / name)
    rows = [ManifestRow(patient_id=name, modality=Modality.CXR, path=tmp_path / name) for name in images]
    manifest = manifest_of(rows)
    content = content_of(manifest, progress=False)
    assert [group.patients for group in group_rows(manifest, content) if len(group.patients) > 1] == [("a.png", "copy of a.tif")]
    assert len(group_rows(manifest)) == 5
    splits = (make_split(manifest, SplitOptions(seed=seed, test=0.5)) for seed in range(99))
    apart = next(split for split in splits if split.parts["a.png"] != split.parts["copy of a.tif"])
    with pytest.raises(TrainingError, match="are linked, but were dealt to"):
        extend_split(apart, manifest, content=content)


def test_a_saved_split_is_read_and_belongs_to_its_manifest(tmp_path: Path) -> None:
    manifest, path = patients(30), tmp_path / "split.json"
    split = make_split(manifest, SplitOptions(folds=3, test=0.1, seed=9))
    save_split(split, manifest, path)
    assert load_split(path, manifest) == split
    assert load_or_make_split(path, manifest, split.options) == split
    first = path.read_bytes()
    save_split(load_split(path, manifest), manifest, path)
    assert path.read_bytes() == first
    with pytest.raises(TrainingError, match="other options"):
        load_or_make_split(path, manifest, SplitOptions())
    with pytest.raises(TrainingError, match=r"2 patients are new \(P31, P32\)"):
        load_split(path, patients(32))
    with pytest.raises(TrainingError, match=r"1 patients are gone \(P30\)"):
        load_split(path, patients(29))
    relabelled = manifest_of([replace(manifest.rows[0], label=LABELS[2]), *manifest.rows[1:]])
    with pytest.raises(TrainingError, match="their rows have changed"):
        load_split(path, relabelled)
    extended = load_split(path, patients(40), extend=True)
    assert set(extended.parts) == set(patients(40).patients)
    assert extended.parts.items() >= split.parts.items()
    with pytest.raises(TrainingError, match="made of another manifest"):
        save_split(split, patients(32), path)


def test_a_tampered_split_is_refused(tmp_path: Path) -> None:
    rows = [ManifestRow(patient_id=str(number), modality=Modality.CT, series_uid="1.2" if number < 2 else None) for number in range(9)]
    manifest, path = manifest_of(rows), tmp_path / "split.json"
    save_split(make_split(manifest), manifest, path)
    text = path.read_text(encoding="utf-8")
    for wrong, said in (
        (text.replace('"0": "', '"0": "x'), "are linked, but were dealt to"),
        (text.replace('  "5": ', '  "55": '), "do not cover the manifest's patients: 1 patients are new"),
        (text.replace("osteon-split/1", "osteon-split/2"), "format"),
        (text[:200], "not a whole split file"),
    ):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(TrainingError, match=said):
            load_split(path, manifest)
    with pytest.raises(TrainingError, match="cannot be read"):
        load_split(tmp_path / "absent.json", manifest)


def test_a_split_that_the_manifest_states() -> None:
    rows = [
        ManifestRow(patient_id=name, modality=Modality.CT, split=part) for name, part in (("1", "train"), ("2", "test"), ("3", "train"))
    ]
    split = given_split(manifest_of(rows))
    assert split.parts == {"1": "train", "2": "test", "3": "train"}
    assert extend_split(split, manifest_of(rows)) == split
    with pytest.raises(TrainingError, match="a row without a part"):
        given_split(manifest_of([*rows, ManifestRow(patient_id="4", modality=Modality.CT)]))
    with pytest.raises(TrainingError, match="puts them in test, train"):
        given_split(manifest_of([*rows, ManifestRow(patient_id="01", modality=Modality.CT, split="test")]))


def test_wrong_options_and_unknown_names() -> None:
    for wrong in ({"test": 0.6, "validation": 0.4}, {"folds": 1}, {"folds": 3, "validation": 0.1}, {"stratify": ("age",)}, {"seeds": 1}):
        with pytest.raises(ValidationError):
            SplitOptions(**wrong)
    manifest = patients(10)
    split = make_split(manifest)
    with pytest.raises(TrainingError, match="has no part tset; it has train, validation, test"):
        split.rows(manifest, "tset")
    with pytest.raises(TrainingError, match="does not know patient 'P11'"):
        split.rows(patients(11), TRAIN)
