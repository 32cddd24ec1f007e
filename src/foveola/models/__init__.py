"""Networks: images (b, 3, H, W) in 0..255 to logits (b, K). See `registry` for the list and how to add to it."""
