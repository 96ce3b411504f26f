"""Web images, co-segmentation and two steps of training on masks (coseg)."""
