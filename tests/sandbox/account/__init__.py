"""Tests of the emulated AWS account, through boto3 over HTTP."""
