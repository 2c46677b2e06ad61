"""Customers with a known true taste: who comes to a dispenser, what they say, pour and press there."""
