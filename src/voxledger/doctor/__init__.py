"""Whether this machine, and the curation repository here, can do what voxledger asks of them."""
