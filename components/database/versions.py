"""PostgreSQL version of a database, looked up before anything is created."""

import pulumi
import pulumi_aws as aws

from components.database.args import DatabaseSettings

ENGINE, MAJOR_VERSION = "postgres", "17"


def look_up_engine_version(
    name: str, settings: DatabaseSettings, opts: pulumi.InvokeOptions
) -> str:
    """Return the pinned or the newest version; raise RunError for one that RDS does not offer.

    Empty for a disabled database. A program calls this before its first component: with
    `up --skip-preview`, an error after that would leave the resources that exist by then.
    """
    if not settings.enabled:
        return ""
    pinned = settings.engine_version
    try:
        engine = aws.rds.get_engine_version(
            engine=ENGINE, version=pinned or MAJOR_VERSION, latest=pinned is None, opts=opts
        )
    except Exception as error:  # the SDK raises plain Exception, with a traceback of its own
        raise pulumi.RunError(
            f"{name}: RDS does not offer PostgreSQL {pinned or MAJOR_VERSION}: {error}"
        ) from error
    return engine.version_actual
