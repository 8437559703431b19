"""The sandbox: an AWS account, Kubernetes and a container registry on one machine, to run the
program's stacks in.
"""
