"""The results of an archive: a folder of Parquet, written in parts by one run at a time."""
