"""Resource types whose deletion or replacement loses data."""

DATA_TYPES = {
    "aws:rds/instance:Instance": "the database",
    "aws:s3/bucket:Bucket": "the bucket's objects",
    "aws:ecr/repository:Repository": "the images",
    "aws:kms/key:Key": "whatever the key encrypts",
    "aws:cloudwatch/logGroup:LogGroup": "the logs",
    "aws:secretsmanager/secret:Secret": "the secret",
    "kubernetes:core/v1:PersistentVolumeClaim": "the volume",
}
"""What is lost, by type."""
