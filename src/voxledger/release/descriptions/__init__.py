"""Descriptions of a release: one file a description.

What `describe` of a description is: `voxledger.release.describe.Describe`.
"""
