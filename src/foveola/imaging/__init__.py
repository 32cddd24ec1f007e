"""The bytes of an image file become an RGB array of the size that a network takes."""
