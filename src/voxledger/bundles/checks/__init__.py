"""Checks of returned label maps: one file a kind of finding.

What a check is: `voxledger.bundles.check`.
"""
