"""Bundles for reviewers, their way back, the gate, and the merge of revisions into labels and ledger."""
