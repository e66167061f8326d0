"""The request: backbones.toml as typed data, and the engine that each backbone means on a host."""
