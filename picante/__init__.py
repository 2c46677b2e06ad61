"""The front door: the `picante` command and its demo."""
