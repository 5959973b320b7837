"""The tables of benchmarks/estimators.py, one module for each question that they answer."""
