"""A study of chest films in words: which film would be read, and how it lies."""

from inference.findings import Findings
from node.results.wording import ascii_text


def cxr_lines(findings: Findings) -> list[str]:
    """What the text says of a chest study beside its headline; empty for any other study."""
    if findings.cxr is None:
        return []
    used = findings.cxr.used
    if used is None or used.film is None:
        return ["No film of the study is used as a frontal chest film."]
    return [ascii_text(used.because)]
