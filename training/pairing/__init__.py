"""Pair CT or chest radiographs with DXA of the same patient within N months, and write the manifest that training reads.

Each step is one module and gives one plain value::

    scan | archive (cfind, qido) ─► ImageStudy, DxaExam ◄─ exams (a table, SR)
                                          │
                              match.pair (pure) ─► Pairing ─► flow, output (manifest, report)
"""
