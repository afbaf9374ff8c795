"""One file is one segmentation network, with its checkpoint importer and weight sources."""
