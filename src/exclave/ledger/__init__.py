"""The ledger: entries, Merkle tiles, signed notes, checkpoints, proofs and receipts."""
