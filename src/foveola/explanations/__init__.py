"""What is inside a network and why it answers as it does: feature maps, kernels, heat maps, one pixel's arithmetic."""
