"""Methods by which several readings of a class become one: one file each, found by name.

What every one of them holds is described in `voxledger.bundles.votes`.
"""
