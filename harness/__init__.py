"""Measure: data sets, score maps, metrics and runs of road-scene anomaly segmentation."""
