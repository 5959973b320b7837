"""The statistical gradient check."""
