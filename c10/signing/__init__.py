"""Signed build records: whose engines are trusted, the envelope beside an engine, and the keys.

``envelope`` is plain data; ``keys`` alone imports cryptography, and only where a policy asks.
"""
