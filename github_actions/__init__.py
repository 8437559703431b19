"""What the workflows of `.github/workflows` run: `python -m github_actions COMMAND`."""
