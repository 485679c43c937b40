"""Benchmarks that state what superalign costs against the bare libraries."""
