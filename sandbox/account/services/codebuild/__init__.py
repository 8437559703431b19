"""CodeBuild projects and builds; a `BuildRunner` runs the builds."""
