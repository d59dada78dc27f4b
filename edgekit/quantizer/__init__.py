"""INT8 is decided here, once, on the PyTorch graph; every exporter carries these very numbers."""
