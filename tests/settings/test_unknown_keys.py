"""Keys with other prefixes."""

from tests.program.running import stack_file
from tests.settings.stack_files import error_of


def test_key_with_another_prefix_is_refused_with_the_probable_key() -> None:
    other_keys = ["aws:region", "plaftorm:network", "other:x"]
    assert str(error_of(stack_file("dev"), other_keys=other_keys)) == (
        "Pulumi.dev.yaml has 3 problems; nothing was changed.\n"
        "\n"
        "  aws:region: is not read: the program creates its own AWS provider, "
        "which platform:aws configures\n"
        "    pulumi config rm --path 'aws:region' --stack dev\n"
        "\n"
        "  plaftorm:network: is not read; did you mean platform:network?\n"
        "    pulumi config rm --path 'plaftorm:network' --stack dev\n"
        "\n"
        "  other:x: is not read: settings of this program have the prefix platform:\n"
        "    pulumi config rm --path 'other:x' --stack dev"
    )
