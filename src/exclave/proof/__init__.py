"""The proof of a deposit, before its secret is forgotten (docs/proof.md).

A process of its own (`process.py`, `prover.py`) decodes the packs as they were sent, restores them
into quarantine and compares; the depositing process (`serving.py`) starts it, gives it this
deposit's secret, answers what it asks and believes nothing else of it than its findings.
"""
