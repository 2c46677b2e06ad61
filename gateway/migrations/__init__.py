"""The store's schema, one numbered module a step. A released step is never edited; a change is a new step."""
