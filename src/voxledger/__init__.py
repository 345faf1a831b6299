"""voxledger: annotation rounds on CT and MR volumes, with a ledger of where every mask came from."""

__version__ = "0.4.0"
