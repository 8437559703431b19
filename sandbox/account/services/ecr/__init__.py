"""ECR: repositories, images, lifecycle policies, authorization tokens."""
