"""The demo's configuration and table, without patients and without a network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from inference.errors import OsteonError
from inference.findings import Band, ClassAgreement, CtSummary, DensityClass, RoiKind
from node import demo
from node.config import Destination
from node.demo import _demo_config, _print
from node.errors import DeliveryError, DeliveryRejectedError
from node.ledger import Ledger
from node.outbox.cstore import Item, Sent
from tests.node.ledger_steps import result, working
from tests.node.results.example import CLASS_MODEL, with_experts
from tests.node.support import at

pytestmark = pytest.mark.unit

SUMMARY = CtSummary(level="L1", roi_kind=RoiKind.CORE, attenuation_hu=97.0, band=Band.LOW, thresholds=(), recommendation="Consider DXA.")
CLASS = DensityClass(
    level="L1",
    probabilities={"normal": 0.1, "osteopenia": 0.2, "osteoporosis": 0.7},
    predicted="osteoporosis",
    agreement=ClassAgreement.AGREES,
    model=CLASS_MODEL,
    because="made",
)


def printed(tmp_path: Path, density: DensityClass | None, width: int = 260, *, read: bool = False) -> str:
    """The table after one measured study, as it is printed."""
    tmp_path.mkdir(exist_ok=True)
    with Ledger.open(f"sqlite:///{tmp_path / 'osteon.db'}", at(0)) as ledger:
        claim = working(ledger)
        run = result("1.2.3", "7.sr")
        findings = replace(run.findings, summary=SUMMARY, density_class=density)
        findings = with_experts(findings) if read else findings
        ledger.jobs.finish(claim.job_id, "w1", replace(run, findings=findings), at(110))
        console = Console(record=True, width=width)
        _print(console, ledger, tmp_path, kept=False)
    return console.export_text()


def test_the_table_shows_class_agreement_and_what_the_model_learned_from(tmp_path: Path) -> None:
    text = " ".join(printed(tmp_path, CLASS).split())
    assert "L1 97 HU, LOW: at or below the high-specificity threshold" in text
    assert (
        "osteoporosis, agrees with the band (normal 10 %, osteopenia 20 %, osteoporosis 70 %; medconv, trained on simulated patients)"
        in text
    )


def test_the_table_says_why_there_is_no_class(tmp_path: Path) -> None:
    none = DensityClass(level="L1", probabilities=None, predicted=None, agreement=None, model=None, because="there is no bundle 'medconv'")
    assert "none: there is no bundle 'medconv'" in " ".join(printed(tmp_path, none).split())


def test_predictions_by_vertebra_and_opinions_fit_a_narrow_terminal(tmp_path: Path) -> None:
    text = printed(tmp_path, CLASS, width=80, read=True)
    assert max(map(len, text.splitlines())) <= 80
    said = " ".join(text.split())
    assert "every vertebra BMD (osteoporosis) L1 0.81 g/cm2 (30 %), L2 0.74 g/cm2 (61 %); scale of Hologic; vertebra-experts" in said
    assert "vertebra-experts, trained on simulated patients" in said
    assert "opinions All three opinions agree: attenuation low; osteoporosis predicted at L1; osteoporosis predicted at L2." in said
    assert "every vertebra" not in printed(tmp_path / "none", CLASS)


def test_the_demo_allows_models_of_simulated_patients_and_keeps_to_loopback(tmp_path: Path) -> None:
    config = _demo_config(tmp_path, 11113)
    assert config.bundles.allow_simulated
    assert {config.receiver.host, *(item.host for item in config.destinations)} == {"127.0.0.1"}
    assert {route.on_refusal for route in config.routes} == {"text"}


def sender(fails: list[OsteonError], arrived: list[str]) -> Callable[..., Iterator[Sent]]:
    """Sends until the second item, which fails with each error in turn, and then not any more; later items stay behind it."""

    def send(_: Destination, __: str, items: Sequence[Item]) -> Iterator[Sent]:
        for item in items:
            if item.sop_instance_uid == "1.2" and fails:
                yield Sent(item=item, error=fails.pop(0))
                return
            arrived.append(item.sop_instance_uid)
            yield Sent(item=item, status=0)

    return send


def test_what_was_not_answered_is_sent_again_and_what_was_refused_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Destination(name="node", ae_title="OSTEON", host="127.0.0.1", port=1)
    items = [Item(sop_class_uid="1", sop_instance_uid=f"1.{n}", path=Path(f"{n}.dcm")) for n in (1, 2, 3)]
    arrived: list[str] = []
    counted: list[None] = []
    monkeypatch.setattr(demo, "send", sender([DeliveryError("no answer")], arrived))
    demo._send_study(node, items, lambda: counted.append(None))
    assert arrived == ["1.1", "1.2", "1.3"]
    assert len(counted) == 3
    for fails in ([DeliveryError("no answer")] * demo.SEND_TRIES, [DeliveryRejectedError("0xA900")]):
        monkeypatch.setattr(demo, "send", sender(fails, []))
        with pytest.raises(DeliveryError, match=r"refused 2.dcm: (no answer|0xA900)"):
            demo._send_study(node, items, lambda: None)
        assert fails == []
