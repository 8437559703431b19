"""The sandbox's Kubernetes provider beside Pulumi's, on the same emulated cluster."""
