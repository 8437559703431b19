"""Tests of the emulated AWS account, all of them through boto3 over HTTP."""
