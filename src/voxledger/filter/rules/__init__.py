"""One rule a file: `minimum_volume.py` holds `MinimumVolume`, which `params.yaml` calls `minimum_volume`.

What a rule is: `voxledger.filter.rule`.
"""
