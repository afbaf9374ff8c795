"""Receive: score maps made elsewhere, checked and judged like any method."""
