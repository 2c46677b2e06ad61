"""What is stored, for people and programs: the ledger, dead letters, and events row by row."""
