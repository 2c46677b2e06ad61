"""What is installed on a Pi, and under what it runs there."""
