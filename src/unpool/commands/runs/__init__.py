"""The command ``runs``: the ledger as a list, one run, or a run repeated."""
