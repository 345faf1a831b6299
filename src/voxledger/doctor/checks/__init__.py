"""One file a check; each holds a `CHECK`, see `voxledger.doctor.check`."""
