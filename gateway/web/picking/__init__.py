"""What picks are made by, and what customers make of them."""
