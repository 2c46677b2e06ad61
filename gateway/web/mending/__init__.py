"""The buttons of repairs: what each does, and how programs press them."""
