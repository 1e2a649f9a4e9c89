"""Findings to DICOM, once: SEG, SR and picture. The one door of highdicom."""
