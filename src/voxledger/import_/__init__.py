"""import: revisions into labels and ledger, class by class."""
