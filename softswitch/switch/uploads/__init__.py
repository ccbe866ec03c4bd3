"""Upload of finished recordings to S3-compatible storage."""
