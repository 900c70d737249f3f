"""Hours of ordinary use: whether memory, descriptors and greenlets stay flat. `make soak SECONDS=3600`."""
