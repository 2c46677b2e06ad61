"""What provokes each repair, by its code: real parts where a test can have them, and why not where it can't."""
