"""What is done with a dispenser: adopt it, say what is on it, give it commands, calibrate it, take a pour back."""
