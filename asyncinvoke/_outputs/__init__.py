"""Writing outputs atomically: compressed, as Parquet, or to a bucket."""
