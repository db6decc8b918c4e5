"""Writing outputs whole: compressed, as Parquet, to a bucket; there at once or not at all."""
