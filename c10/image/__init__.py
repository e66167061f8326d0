"""The image that carries a corpus's engines: its contents, its files, and the programs that keep images.

``contents`` and ``layout`` write the same bytes for the same engines on any machine; ``builders`` calls docker,
podman or buildah.
"""
