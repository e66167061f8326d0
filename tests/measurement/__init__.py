"""The tests of c10/measurement."""
