"""Image filters (OpenCV) and chains of them: see `chain`."""
