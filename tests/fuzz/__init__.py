"""Any bytes, to the decoders: `make fuzz` looks for those that break one, `make test` tries what it has found."""
