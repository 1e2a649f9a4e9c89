"""Simulated patients as DICOM, with their truth."""
