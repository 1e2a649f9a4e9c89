"""One door per kind of study: headers in, findings out. A workflow never raises a :class:`~inference.errors.Refusal`; it returns it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.ct.options import CtOptions
from inference.cxr.options import CxrOptions
from inference.dxa.options import DxaOptions
from inference.findings import Findings
from inference.reading import InstanceHeader
from inference.workflows import ct, cxr, dxa

__all__ = ["WORKFLOWS", "WorkflowOptions", "run_workflow"]

WORKFLOWS = ("ct", "cxr", "dxa")


@dataclass(frozen=True, kw_only=True)
class WorkflowOptions:
    """Parameters of every workflow."""

    ct: CtOptions = field(default_factory=CtOptions)
    cxr: CxrOptions = field(default_factory=CxrOptions)
    dxa: DxaOptions = field(default_factory=DxaOptions)


def run_workflow(workflow: str, headers: Sequence[InstanceHeader], options: WorkflowOptions) -> Findings:
    """Run one workflow over one study.

    Parameters
    ----------
    workflow
        ``ct``, ``cxr`` or ``dxa``.
    headers
        Every instance of the study, with its path.

    Returns
    -------
    Findings
        ``refused`` with its reason where the study cannot be measured.

    Raises
    ------
    ValueError
        No such workflow, or the headers are of no study or of several.
    """
    studies = {header.study_instance_uid for header in headers}
    if len(studies) != 1:
        raise ValueError(f"a workflow is about one study, not {len(studies)}")
    if workflow == "ct":
        return ct.run(headers, options.ct)
    if workflow == "cxr":
        return cxr.run(headers, options.cxr)
    if workflow == "dxa":
        return dxa.run(headers, options.dxa)
    raise ValueError(f"there is no workflow {workflow!r}; known: {', '.join(WORKFLOWS)}")
