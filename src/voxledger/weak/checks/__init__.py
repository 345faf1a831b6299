"""Checks of what was predicted from a weak label, one file each."""
