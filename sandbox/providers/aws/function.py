"""Emulated AWS functions (`aws.getRegion`, …), with declared arguments.

def _region(call, args):
    return {"name": call.region}  # or Invoked(…) for secret results

FUNCTIONS = (Function("aws:index/getRegion:getRegion", {"region": text()}, _region),)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.providers.aws.operation import Call, in_words
from sandbox.providers.aws.properties import Checking, Property, nearest
from sandbox.providers.protocol import Failure, Invoked, Properties


@dataclass(frozen=True)
class Function:
    """An emulated function."""

    token: str
    arguments: Mapping[str, Property]
    run: Callable[[Call, Properties], Properties | Invoked]

    def invoked(self, call: Call, args: Properties) -> Invoked:
        """Validate the arguments and run the function."""
        checking = Checking(self._refusal)
        checked = checking.block(args, self.arguments, ())
        if checking.failures:
            return Invoked({}, failures=checking.failures)
        try:
            result = self.run(call, checked)
        except (ClientError, BotoCoreError, Failure) as error:
            raise Failure(
                in_words("invoking", self.token, "", error).replace(" ():", ":")
            ) from error
        return result if isinstance(result, Invoked) else Invoked(result)

    def _refusal(self, name: str, path: Sequence[str], declared: Iterable[str]) -> str:
        where = f" in {'.'.join(path)}" if path else ""
        return (
            f'the function {self.token} has no argument "{name}"{where} that the sandbox '
            f"emulates{nearest(name, declared)}"
        )
