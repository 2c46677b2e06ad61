"""Events into profiles: Kafka in, SQLite state, and what is published of it. The state is a function of the log."""
