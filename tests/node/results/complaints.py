"""What other people's programs say of an object, but for what is known and why."""

import re
import subprocess
from pathlib import Path

from tests.peers.tools import find_command

KNOWN_COMPLAINTS = (
    # dicom3tools knows no private coding scheme.
    re.compile(r"Warning - Unrecognized defined term <99OSTEON> for value 1 of attribute <Coding Scheme Designator>"),
    # Device UID entered the Contributing Equipment Sequence (PS3.3 C.12.1.1) after dicom3tools of 2022.
    re.compile(r"Warning - Attribute is not present in standard DICOM IOD - \(0x0018,0x1002\) UI Device UID"),
    re.compile(r"Warning - Dicom dataset contains attributes not present in standard DICOM IOD - this is a Standard Extended SOP Class"),
    # The name of the IOD.
    re.compile(r"^(Segmentation|Comprehensive3DSR|BasicTextSR|SCImage)$"),
)


def run_peer(*command: str) -> subprocess.CompletedProcess[str]:
    """A peer's program, to its end."""
    program = find_command(command[0])
    assert program is not None
    return subprocess.run([program, *command[1:]], capture_output=True, encoding="latin-1", check=False, timeout=60)


def new_complaints(path: Path) -> list[str]:
    """The lines of dciodvfy that are not known; it says at least the name of the IOD of any object that it can read."""
    done = run_peer("dciodvfy", str(path))
    complaints = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert complaints, path
    return [line for line in complaints if not any(known.search(line) for known in KNOWN_COMPLAINTS)]
