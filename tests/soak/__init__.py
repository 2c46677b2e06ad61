"""Pages that stand open for long: five seconds each with the other tests, and as long as one likes by `make soak`."""
