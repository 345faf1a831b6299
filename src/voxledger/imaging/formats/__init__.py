"""Formats of images and labels: one file a format.

What a format is: `voxledger.imaging.format`.
"""
