"""The sandbox's resource providers for AWS, EKS, Kubernetes and Docker, in Pulumi's protocol."""
