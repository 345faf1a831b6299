"""Layouts in which a version is handed over: one file a layout.

What `write` of a layout is: `voxledger.release.handover.WriteLayout`.
"""
