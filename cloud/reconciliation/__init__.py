"""Reconciliation: outbox, topics, what was folded, dead letters and lake say the same of each source and hour."""
