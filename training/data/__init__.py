"""Labelled studies: the manifest that names them, the labels they carry, and splits that cannot leak."""
