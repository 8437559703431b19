"""Resource providers for the sandbox: AWS, EKS, Kubernetes and Docker in the official provider protocol."""
