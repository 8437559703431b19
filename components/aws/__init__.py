"""Building blocks that the components share: account context, IAM, KMS and log groups."""
