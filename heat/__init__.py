"""The domain kernel: pungency as numbers. Pure; imports nothing of ours and does no I/O."""
