"""Signed build records: whose engines are trusted, the envelope beside an engine, and the keys.

``policy`` and ``envelope`` are plain data; ``keys`` alone imports cryptography, and only where a policy asks.
"""
