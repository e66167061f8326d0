"""What is wanted: backbones.toml, and the engines that it means on a host."""
