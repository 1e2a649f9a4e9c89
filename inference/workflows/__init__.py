"""One module per workflow: DICOM files in, findings out."""
