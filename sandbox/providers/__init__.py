"""The sandbox's resource providers (AWS, EKS, Kubernetes, Docker), in Pulumi's provider protocol."""
