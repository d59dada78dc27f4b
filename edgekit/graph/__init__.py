"""What a network is: its exported graph, what it costs, and which of its channels belong together."""
