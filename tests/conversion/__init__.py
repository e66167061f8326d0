"""What the converter makes of networks: is it valid, and does it compute the same."""
