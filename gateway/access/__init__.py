"""Who may come in: people, their sessions, tokens of programs, and what was changed by whom. Kept in access.db."""
