"""Real storage servers on loopback, and what their own clients see in them."""
