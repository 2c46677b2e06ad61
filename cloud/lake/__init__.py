"""The lake: everything that the topics carried, for as long as the brand wants it, in Delta Lake tables."""
