"""Predict on a Ray cluster: shards of the images, each of which becomes a Parquet file.

job.py       what is to be done: images, model, shards; what an earlier start has done of it
parts.py     the folder or bucket of the Parquet files
worker.py    predicts one shard after another
actors.py    shares shards out among workers, a few at a time, and survives their loss
progress.py  shards done, images per second, time left
run.py       all of it together
"""
