"""Compare: saved runs as rows, ranks and pages."""
