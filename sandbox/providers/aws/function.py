"""The base of every emulated AWS function (`aws.getRegion`, …): its arguments are declared as resources' inputs are.

def _region(call, args): return {"name": call.region, …}      # or Invoked(…) when something in it is secret

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
    """One emulated function."""

    token: str
    arguments: Mapping[str, Property]
    run: Callable[[Call, Properties], Properties | Invoked]

    def invoked(self, call: Call, args: Properties) -> Invoked:
        """Check the arguments and run it."""
        checking = Checking(self._refusal)
        checked = checking.block(args, self.arguments, ())
        if checking.failures:
            return Invoked({}, failures=checking.failures)
        try:
            result = self.run(call, checked)
        except (ClientError, BotoCoreError, Failure) as error:
            raise Failure(in_words("invoking", self.token, "", error).replace(" ():", ":")) from error
        return result if isinstance(result, Invoked) else Invoked(result)

    def _refusal(self, name: str, path: Sequence[str], declared: Iterable[str]) -> str:
        where = f" in {'.'.join(path)}" if path else ""
        return f'the function {self.token} has no argument "{name}"{where} that the sandbox emulates{nearest(name, declared)}'
