"""Learning: the one training loop, the one evaluation pass, and the numbers that come of them."""
