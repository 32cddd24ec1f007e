"""Image kernels and other fixed filters, and chains of them: see `chain`."""
