"""retrain: cohorts from the ledger, strategies, backends."""
