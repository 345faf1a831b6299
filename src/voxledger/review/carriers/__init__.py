"""Carriers, one a file: how bundles get to reviewers, and returns back; `voxledger.review.carrier` says what one is."""
