"""What the command prints for a person: tables of one study, of the ledger, of deliveries."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from inference.rounding import round_hu
from node.ledger.records import Delivery, StudyReport, StudySummary
from node.report import Json
from node.routing import Decision

BAND_WORDS = {
    "low": "LOW: at or below the high-specificity threshold",
    "intermediate": "INTERMEDIATE: between the two thresholds",
    "above_thresholds": "above both thresholds (does not rule out osteoporosis)",
}


def print_decision(console: Console, decision: Decision) -> None:
    """The decision of one study, every route explained."""
    title = (
        f"route {decision.route} -> workflow {decision.workflow}"
        if decision.route
        else f"refused: {decision.reason and decision.reason.code}"
    )
    console.print(f"[bold]study {escape(decision.study_instance_uid)}[/]: {escape(title)}")
    for item in decision.considered:
        mark = "[bold]matched[/]  " if item.matched else "no match "
        console.print(f"  {mark} {escape(item.route)}: {escape(item.because)}")


def print_report(console: Console, report: Json) -> None:
    """One processed study: outcome first, then the per-level table, then warnings and files."""
    console.print(f"[bold]study {escape(report['study_uid'] or '(none)')}[/]: {outcome_line(report)}")
    for item in report["decision"]:
        if item["matched"]:
            console.print(f"  route {escape(item['route'])}: {escape(item['because'])}")
    if report["vertebrae"]:
        console.print(_vertebrae(report["vertebrae"]))
        for line in _vertebra_notes(report):
            console.print(f"  {escape(line)}")
    if report["level_because"]:
        console.print(f"  levels: {escape(report['level_because'])}")
    for line in _other_readings(report):
        console.print(f"  {escape(line)}")
    for notice in report["warnings"]:
        console.print(f"  [bold]warning[/] {notice['code']}: {escape(notice['text'])}")
    for item in report["skipped"]:
        console.print(f"  skipped {escape(item['path'])}: {item['reason']['code']}: {escape(item['reason']['text'])}")
    for item in report["outputs"]:
        console.print(f"  wrote {item['kind']}: {escape(item['path'])}", soft_wrap=True)
    if report["picture"]:
        console.print(f"  wrote page: {escape(report['picture'])}", soft_wrap=True)


def outcome_line(report: Json) -> str:
    """The outcome of one study in one line, ready for rich."""
    if report["reason"] is not None:
        return f"refused, {report['reason']['code']}: {escape(report['reason']['text'])}"
    summary = report["summary"] or {}
    if report.get("dxa"):
        return escape(f"{_dxa_answer(report)} [{report['outcome']}]")
    if report.get("cxr"):
        return escape(f"{_cxr_answer(report)} [{report['outcome']}]")
    if summary.get("band") is None:
        return escape(report["outcome"])
    return escape(f"{summary['level']} {round_hu(summary['attenuation_hu'])} HU, {BAND_WORDS[summary['band']]} [{report['outcome']}]")


def _dxa_answer(report: Json) -> str:
    """The densitometer's own values first, else what a model predicts, with what that was trained on."""
    values = report["dxa"]["device_values"]
    if values is not None and values["region"] is not None:
        return f"{values['region']} by the densitometer: {_device_values(values)}"
    return "; ".join(
        f"{item['level']} osteoporosis {100 * item['probability_osteoporosis']:.0f} %, predicted by {item['by']}"
        for item in report["estimates"]
    )


def _cxr_answer(report: Json) -> str:
    """What a model estimates from the film, what that was trained on, and what follows."""
    told = ", ".join(
        f"{item['level']} {item['bmd_g_cm2']:.2f} g/cm2" + ("" if item["t_score"] is None else f" (T {item['t_score'] + 0.0:.1f})")
        for item in report["estimates"]
    )
    low = report["cxr"]["measurement"]["low"]
    follows = {True: "DXA recommended", False: "above the thresholds (does not rule out osteoporosis)", None: "no T-score"}[low]
    return f"{told}, estimated by {report['estimates'][0]['by']}: {follows}"


def _other_readings(report: Json) -> list[str]:
    """What stands beside the measurement; absent from what an earlier version recorded."""
    lines = [f"second reader: {_second_reader(report['second_reader'])}"] if report.get("second_reader") else []
    lines += [f"density class: {density_class_line(report['density_class'])}"] if report.get("density_class") else []
    lines += [f"every vertebra: {experts_line(report['experts'])}"] if report.get("experts") else []
    lines += [f"opinions: {opinions_line(report['opinions'])}"] if report.get("opinions") else []
    lines += dxa_lines(report["dxa"]) if report.get("dxa") else []
    return lines + (cxr_lines(report["cxr"], report["estimates"]) if report.get("cxr") else [])


def cxr_lines(cxr: Json, estimates: Sequence[Json]) -> list[str]:
    """The film that is used, each level's estimate with its spread, and the recommendation."""
    lines = [f"film: {item['because']}" for item in cxr["films"] if item["used"]]
    for item in estimates:
        spread = "" if item["bmd_spread_g_cm2"] is None else f" (SD {item['bmd_spread_g_cm2']:.2f} of {item['members']} networks)"
        score = "no T-score" if item["t_score"] is None else f"T-score {item['t_score'] + 0.0:.1f}, threshold {item['threshold']:g}"
        lines.append(f"{item['level']}: {item['bmd_g_cm2']:.2f} g/cm2{spread}, {score}; {item['because']}")
    read = cxr.get("measurement")  # absent from what an earlier version recorded
    return lines if read is None else [*lines, read["recommendation"]]


def dxa_lines(dxa: Json) -> list[str]:
    """The image that shows the AP spine, and the densitometer's own values."""
    lines = [f"image: {item['because']}" for item in dxa["images"] if item["used"]]
    device = dxa.get("densitometer")  # absent from what an earlier version recorded
    if device is not None:
        name = " ".join(part for part in (device["manufacturer"], device["model_name"]) if part) or "not stated"
        lines.append(f"device: {name}, software {', '.join(device['software_versions']) or 'not stated'}")
    values = dxa["device_values"]
    if values is None:
        return [*lines, f"values of the densitometer: {dxa['device_because']}"]
    told = f"{values['region'] or 'no region'}: {_device_values(values)}"
    return [*lines, f"values of the densitometer, not of Osteon: {told} ({values['because']})"]


def _device_values(values: Json) -> str:
    """Density, T-score and WHO class, as far as the device states them."""
    parts = [f"BMD {values['bmd_g_cm2']:.3f} g/cm2"] if values["bmd_g_cm2"] is not None else []
    parts += [f"T-score {values['t_score']:.1f}, {values['who_category']}"] if values["t_score"] is not None else []
    return ", ".join(parts) or "no value of two levels or more"


def _vertebrae(vertebrae: list[Json]) -> Table:
    table = Table("level", "sure", "mean\nHU", "median\nHU", "SD", "voxels", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("ant/mid/post\nmm", no_wrap=True)
    table.add_column("used")
    table.add_column("why not,\nwarnings", overflow="fold")
    for item in vertebrae:
        hu = item["attenuation_hu"]
        heights = item["height_mm"]
        table.add_row(
            _name(item),
            "yes" if item["level_certain"] else "no",
            *([str(round_hu(hu[key])) for key in ("mean", "median", "sd")] if hu else ["-", "-", "-"]),
            str(item["roi_voxels"] or "-"),
            "/".join(f"{heights[key]:.1f}" for key in ("anterior", "middle", "posterior")) if heights else "-",
            "yes" if item["used"] else "no",
            "\n".join(dict.fromkeys(notice["code"] for notice in _notes(item))),
        )
    return table


def _name(vertebra: Json) -> str:
    return str(vertebra["level"] or f"body {vertebra['label']}")


def _notes(vertebra: Json) -> list[Json]:
    """Why a body is not used, then its warnings."""
    return [*([vertebra["excluded_because"]] if vertebra["excluded_because"] else []), *vertebra["warnings"]]


def _vertebra_notes(report: Json) -> list[str]:
    """The codes of the table in words, a line per body; a column of words would be a column of single words. What the study's own
    warnings say again follows there."""
    said = " ".join(notice["text"] for notice in report["warnings"])
    lines = []
    for item in report["vertebrae"]:
        texts = [notice["text"] for notice in _notes(item) if notice["text"] not in said]
        if texts:
            lines.append(f"{_name(item)}: {'; '.join(texts)}")
    return lines


def _second_reader(agreement: Json) -> str:
    dice, difference = agreement["median_dice"], agreement["median_attenuation_hu_difference"]
    parts = [f"{agreement['name']} (trained on {agreement['trained_on']}), {agreement['compared']} bodies in common"]
    parts += [f"median Dice {dice:.2f}"] if dice is not None else []
    parts += [f"{difference:.0f} HU apart"] if difference is not None else []
    return "; ".join([*parts, f"levels {agreement['levels'].replace('_', ' ')}"])


def density_class_line(density: Json) -> str:
    """What a model predicts of one study, and what it was trained on; or why there is nothing."""
    model = density["model"]
    if model is None:
        return f"none: {density['because']}"
    shares = ", ".join(f"{_words(name)} {100 * share:.0f} %" for name, share in density["probabilities"].items())
    return f"{_words(density['predicted'])}, {_agreement(density)} ({shares}; {model['name']}, trained on {model['trained_on']})"


def experts_line(experts: Json) -> str:
    """What a model predicts of each level, on whose scale, and what it was trained on; or why there is nothing."""
    model = experts["model"]
    if model is None:
        return f"none: {experts['because']}"
    levels = [
        f"{item['level']} {item['bmd_g_cm2']:.2f} g/cm2 ({100 * item['osteoporosis_probability']:.0f} %)"
        for item in experts["vertebrae"]
        if item["bmd_g_cm2"] is not None
    ]
    told = ", ".join(levels) or "none of L1 to L4"
    return f"BMD (osteoporosis) {told}; scale of {experts['densitometer']}; {model['name']}, trained on {model['trained_on']}"


def opinions_line(opinions: Json) -> str:
    """How far the opinions agree, each in its words, and which leads."""
    return " ".join(filter(None, (opinions["text"], opinions.get("lead_text"))))


def _agreement(density: Json) -> str:
    """How the class stands to the band of the attenuation, or to the densitometer's own T-score."""
    dxa = "device_agreement" in density
    agreement, other = density["device_agreement" if dxa else "band_agreement"], "the densitometer" if dxa else "the band"
    if agreement is None:
        return f"nothing of {other} to compare with"
    words = {"agrees": "agrees with", "one_step_apart": "one step apart from", "contradicts": "CONTRADICTS"}
    return f"{words[agreement]} {other}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def print_studies(console: Console, found: Sequence[StudySummary]) -> None:
    """``osteon studies``."""
    if not found:
        console.print("no study")
        return
    table = Table("study", "last instance", "images", "state", "route", "outcome", "why", "deliveries")
    for item in found:
        sent = ", ".join(f"{number} {state}" for state, number in item.deliveries.items()) or "-"
        table.add_row(
            item.study_uid,
            _time(item.last_instance_at),
            f"{item.instances} {'/'.join(item.modalities)}",
            item.state,
            item.route or "-",
            item.outcome or "-",
            item.reason_code or "-",
            sent,
        )
    console.print(table)


def print_study(console: Console, report: StudyReport) -> None:
    """``osteon show``: decision, findings, deliveries, and every event."""
    summary = report.summary
    console.print(
        f"[bold]study {escape(summary.study_uid)}[/]: {summary.state}, {summary.instances} instances, {'/'.join(summary.modalities)}"
    )
    if summary.reason_code is not None:
        console.print(f"  {summary.reason_code}: {escape(summary.reason_text or '')}")
    if report.decision is not None:
        print_decision(console, report.decision)
    if report.findings is not None:
        _print_findings(console, dict(report.findings))
    if report.deliveries:
        print_deliveries(console, report.deliveries)
    for event in report.events:
        console.print(f"  {_time(event.at)} {event.kind}: {escape(event.text)}")


def _print_findings(console: Console, report: Json) -> None:
    """What the ledger has of a study's latest run; of what an earlier version recorded in another form, the outcome alone."""
    if "study_uid" in report:
        print_report(console, report)
    else:
        console.print(f"  recorded by an earlier version: {outcome_line(report)}")


def print_deliveries(console: Console, found: Sequence[Delivery]) -> None:
    """``osteon deliveries``."""
    if not found:
        console.print("no delivery")
        return
    table = Table("study", "object", "destination", "state", "attempts", "next attempt", "delivered", "last error")
    for item in found:
        table.add_row(
            item.study_uid,
            item.kind,
            item.destination,
            item.state,
            str(item.attempts),
            _time(item.next_attempt_at),
            _time(item.delivered_at),
            escape(item.last_error or "-"),
        )
    console.print(table)


def plain(value: Any) -> Any:
    """A record of the ledger as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def _time(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S") if value is not None else "-"
