"""The base class of emulated AWS resource types.

A subclass declares its properties and implements four methods; `TYPES` of its module registers it:

    class LogGroup(Handler):
        token = "aws:cloudwatch/logGroup:LogGroup"
        noun = "CloudWatch Logs Log Group"        # the AWS provider's name in errors
        inputs = {"name": text(replaces=True), "retentionInDays": integer(default=0)}
        outputs = ("arn",)
        autoname = AutoName("name", 512)
        tagged = True                             # adds tags and tagsAll
        missing = ("ResourceNotFoundException",)  # error codes of a missing object

        def create(self, call, inputs): …         # returns the ID; call.made(id) before later steps
        def read(self, call, id, known): …        # returns inputs and outputs, None if missing
        def update(self, call, id, old, new, changed): …  # changed: without tags
        def retag(self, call, id, state, put, drop): …
        def delete(self, call, id, state): …

    TYPES = (LogGroup(),)

`call` has `client("logs")`, `region`, `account`, `wait(…)` and `retrying(…)` (see `operation`).
`read` returns properties under their names and all tags under "tagsAll"; it may omit what AWS does
not return. `known` is the last state, empty in an import. Inputs are validated and have defaults.

The base class implements: unknown, missing and invalid properties; auto-naming; default tags;
`region` per resource; diff, replacement, delete-before-replace; preview; refresh; import; errors.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.providers.aws import sdk
from sandbox.providers.aws.operation import Call, code_of, in_words
from sandbox.providers.aws.properties import (
    Checking,
    Property,
    changes,
    comparable,
    map_of,
    nearest,
    same,
    text,
)
from sandbox.providers.property_values import UNKNOWN, Path, is_known
from sandbox.providers.protocol import (
    Checked,
    Created,
    Difference,
    Failure,
    Found,
    PartialFailure,
    Properties,
    Updated,
)

_DEFAULTS = "__defaults"  # where Pulumi's bridge records inputs that the provider set
_AT_REGION = re.compile(r"^(?P<id>.+)@(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)$")


@dataclass(frozen=True)
class AutoName:
    """Which property gets a name of the form `<resource's name>-<7 hex digits>` when the program
    gives none.
    """

    property: str = "name"
    longest: int = 255
    unless: Sequence[str] = ()
    """Alternative naming properties (`namePrefix`)."""
    suffix: str = ""
    lower: bool = False


class Handler:
    """An emulated resource type; see the module's docstring for subclasses."""

    token: ClassVar[str]
    noun: ClassVar[str]
    inputs: ClassVar[Mapping[str, Property]]
    outputs: ClassVar[Sequence[str]] = ()
    secret_outputs: ClassVar[Sequence[str]] = ()
    volatile: ClassVar[Sequence[str]] = ()
    """Outputs that an update may change, unknown in its preview."""
    autoname: ClassVar[AutoName | None] = None
    tagged: ClassVar[bool] = False
    missing: ClassVar[Sequence[str]] = ()
    delete_before_replace: ClassVar[bool] = False
    conflicts: ClassVar[Sequence[Sequence[str]]] = ()
    """Groups of properties of which at most one may be set."""
    one_needed: ClassVar[Sequence[Sequence[str]]] = ()
    """Groups of properties of which at least one must be set."""

    def create(self, call: Call, inputs: Properties) -> str:
        """Create it; return its ID."""
        raise NotImplementedError

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Return its actual properties, or None if it does not exist."""
        raise NotImplementedError

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update it in place; `changed` has neither replacing properties nor tags."""
        raise NotImplementedError(
            f"{self.token} has no updatable property, but {sorted(changed)} changed"
        )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Set and remove tags."""
        raise NotImplementedError(f"{self.token} cannot update tags")

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete it; may raise an error whose code is in `missing`."""
        raise NotImplementedError

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Yield problems across properties: pairs of property and reason. Values may be unknown."""
        return ()

    def validate_update(self, old: Properties, new: Properties) -> Iterable[tuple[str, str]]:
        """Yield changes that AWS refuses, as `validate` does; not called for a replacement."""
        return ()

    @cached_property
    def declared(self) -> Mapping[str, Property]:
        """Return the inputs, with those of the base class."""
        properties = dict(self.inputs)
        if self.tagged:
            properties["tags"] = map_of()
            properties["tagsAll"] = map_of()
        if "region" in sdk.arguments(self.token):
            properties.setdefault("region", text(computed=True, replaces=True))
        return properties

    # Called by the provider

    def checked(self, call: Call, old: Properties, new: Properties, seed: bytes) -> Checked:
        """Validate inputs; see `Connection.check`."""
        checking = Checking(
            self._refusal,
            lambda name, path, value: sdk.is_default(self.token, tuple(path), name, value),
        )
        values = {name: value for name, value in new.items() if name != "tagsAll"}
        settable = {name: spec for name, spec in self.declared.items() if name != "tagsAll"}
        named = self._named(call, old, values, seed)
        inputs = checking.block(named, settable, ())
        filled = sorted(name for name in inputs if values.get(name) is None)
        failures = checking.failures
        for group in self.conflicts:
            both = [name for name in group if values.get(name) is not None]
            if len(both) > 1:
                failures.append(
                    (both[1], f'conflicts with "{both[0]}": set only one of {", ".join(group)}')
                )
        for group in self.one_needed:
            if all(values.get(name) is None for name in group):
                failures.append((group[0], f"one of {', '.join(group)} must be set"))
        if self.tagged:
            tags = inputs.get("tags")
            merged = (
                {**call.session.default_tags, **tags}
                if isinstance(tags, Mapping)
                else call.session.default_tags
            )
            inputs["tagsAll"] = merged if tags is None or isinstance(tags, Mapping) else UNKNOWN
        if not failures:
            failures.extend(self.validate(call, inputs))
            if old and not any(
                spec.replaces and old.get(name) != inputs.get(name)
                for name, spec in settable.items()
            ):
                failures.extend(self.validate_update(old, inputs))
        return Checked({**inputs, _DEFAULTS: filled}, failures)

    def difference(self, old: Properties, state: Properties, new: Properties) -> Difference:
        """Compare inputs; see `Connection.diff`. A value that AWS set earlier is no change."""
        before = {
            name: _completed(old[name], state.get(name), spec)
            if old.get(name) is not None
            else state.get(name)
            if spec.computed
            else None
            for name, spec in self.declared.items()
        }
        differences = changes(before, new, self.declared)
        name = self.autoname.property if self.autoname else None
        taken = (
            name is not None
            and new.get(name) is not None
            and new.get(name) == old.get(name)
            and name not in new.get(_DEFAULTS, ())
        )
        replaces = any(change.replaces for change in differences.values())
        return Difference(
            differences, delete_before_replace=replaces and (self.delete_before_replace or taken)
        )

    def created(self, call: Call, inputs: Properties, preview: bool) -> Created:
        """Create it; see `Connection.create`."""
        if preview:
            return Created("", self._preview(inputs), self._secrets())
        try:
            id = self.create(call, _plain(inputs))
            return Created(id, self._live(call, id, inputs, {}), self._secrets())
        except (ClientError, BotoCoreError, Failure) as error:
            message = in_words(
                "creating", self.noun, str(inputs.get("name") or call.resource.name), error
            )
            if call.id is None:
                raise Failure(message) from error
            raise PartialFailure(
                message, call.id, *self._done_so_far(call, call.id, inputs, {})
            ) from error

    def _done_so_far(
        self, call: Call, id: str, inputs: Properties, state: Properties
    ) -> tuple[Properties, Properties]:
        """Return state and inputs after a failure part way through several requests.

        Values that were not set are not among the inputs, so the next update sets them.
        """
        remembered = self._remembered(inputs, state)
        try:
            actual = self.found(call, id, inputs, remembered)
        except (ClientError, BotoCoreError, Failure):
            actual = None
        return (actual.state, actual.inputs) if actual else (remembered, inputs)

    def found(self, call: Call, id: str, inputs: Properties, state: Properties) -> Found | None:
        """Read it; see `Connection.read`."""
        importing = not inputs
        at_region = _AT_REGION.match(id) if importing else None
        if at_region and "region" in self.declared:
            id, call.region = at_region["id"], at_region["region"]
        live = self._read(call, id, state)
        if live is None:
            return None
        canonical = str(live.pop("id", id))
        self._split_tags(call, live, inputs, state)
        result = {name: inputs[name] for name in (_DEFAULTS,) if name in inputs}
        for name, spec in self.declared.items():
            declared, value = inputs.get(name), live.get(name)
            if spec.write_only or name not in live:
                value = spec.default if importing and declared is None else declared
            elif declared is not None and same(value, declared, spec):
                value = declared
            elif declared is None and (
                comparable(value, spec) is None
                if importing
                else spec.computed or same(value, None, spec)
            ):
                value = None
            if value is not None:
                result[name] = value
        if importing:
            result[_DEFAULTS] = []
        if self.tagged:
            result["tagsAll"] = live.get("tagsAll") or {}
        return Found(canonical, self._state(live, result, state), result, self._secrets())

    def updated(
        self,
        call: Call,
        id: str,
        old: Properties,
        state: Properties,
        new: Properties,
        *,
        preview: bool,
    ) -> Updated:
        """Update it; see `Connection.update`."""
        if preview:
            filled = {
                name: _completed(value, state.get(name), self.declared[name])
                if name in self.declared
                else value
                for name, value in _plain(new).items()
            }
            expected = {**{k: v for k, v in state.items() if k not in self.volatile}, **filled}
            unknown = dict.fromkeys(self.volatile, UNKNOWN)
            return Updated({**expected, **unknown}, self._secrets())
        changed = {name.split(".")[0].split("[")[0] for name in changes(old, new, self.declared)}
        desired = _plain({**{k: v for k, v in state.items() if k in self.declared}, **new})
        for name in self.declared:
            if name not in new and name in changed:
                desired.pop(name, None)
        try:
            if "tagsAll" in changed:
                before, after = old.get("tagsAll") or {}, new.get("tagsAll") or {}
                put = {k: v for k, v in after.items() if before.get(k) != v}
                self.retag(call, id, state, put, sorted(k for k in before if k not in after))
            rest = frozenset(changed) - {"tags", "tagsAll"}
            if rest:
                self.update(call, id, {**state, **_plain(old)}, desired, rest)
            return Updated(self._live(call, id, new, state), self._secrets())
        except (ClientError, BotoCoreError, Failure) as error:
            message = in_words("updating", self.noun, id, error)
            raise PartialFailure(message, id, *self._done_so_far(call, id, old, state)) from error

    def deleted(self, call: Call, id: str, state: Properties) -> None:
        """Delete it; see `Connection.delete`."""
        try:
            self.delete(call, id, state)
        except (ClientError, BotoCoreError, Failure) as error:
            if code_of(error) not in self.missing:
                raise Failure(in_words("deleting", self.noun, id, error)) from error

    # Implementation

    def _named(self, call: Call, old: Properties, inputs: Properties, seed: bytes) -> Properties:
        auto = self.autoname
        if auto is None or any(
            inputs.get(name) is not None for name in (auto.property, *auto.unless)
        ):
            return inputs
        before = old.get(auto.property)
        if before is not None and auto.property in old.get(_DEFAULTS, ()):
            return {**inputs, auto.property: before}
        digits = hashlib.sha256((seed or os.urandom(32)) + call.resource.urn.encode()).hexdigest()[
            :7
        ]
        base = call.resource.name.lower() if auto.lower else call.resource.name
        stem = base[: auto.longest - len(digits) - 1 - len(auto.suffix)]
        return {**inputs, auto.property: f"{stem}-{digits}{auto.suffix}"}

    def _refusal(self, name: str, path: Sequence[str], declared: Iterable[str]) -> str:
        arguments = sdk.arguments(self.token, tuple(path))
        emulated = sorted(declared)
        if name in arguments:
            return (
                f'{self.token} property "{name}" is not emulated by the sandbox (see '
                f"sandbox/providers/aws/README.md); emulated: {', '.join(emulated) or 'none'}"
            )
        return f'{self.token} has no property "{name}"{nearest(name, arguments or emulated)}'

    def _preview(self, inputs: Properties) -> Properties:
        state: Properties = dict.fromkeys(self.outputs, UNKNOWN)
        for name, spec in self.declared.items():
            if inputs.get(name) is not None:
                state[name] = _completed(inputs[name], UNKNOWN, spec)
            elif spec.computed:
                state[name] = UNKNOWN
        return state

    def _read(self, call: Call, id: str, state: Properties) -> Properties | None:
        try:
            live = self.read(call, id, state)
        except (ClientError, BotoCoreError, Failure) as error:
            if code_of(error) in self.missing:
                return None
            raise Failure(in_words("reading", self.noun, id, error)) from error
        if live is not None and "region" in self.declared:
            live.setdefault("region", call.region)
        return live

    def _live(self, call: Call, id: str, inputs: Properties, state: Properties) -> Properties:
        live = self._read(call, id, {**state, **_plain(inputs)})
        if live is None:
            raise Failure(f"{id} did not exist when it was read")
        live.pop("id", None)
        self._split_tags(call, live, inputs, state)
        return self._state(live, inputs, state)

    def _split_tags(
        self, call: Call, live: Properties, inputs: Properties, state: Properties
    ) -> None:
        if not self.tagged or "tagsAll" not in live:
            return
        every = {
            key: value
            for key, value in (live["tagsAll"] or {}).items()
            if not call.session.ignores_tag(key)
        }
        own = inputs.get("tags") or state.get("tags") or {}
        defaults = call.session.default_tags
        live["tagsAll"] = every
        live["tags"] = {
            key: value for key, value in every.items() if key in own or defaults.get(key) != value
        }

    def _state(self, live: Properties, inputs: Properties, before: Properties) -> Properties:
        state = self._remembered(inputs, before)
        for name, value in live.items():
            spec, declared = self.declared.get(name), state.get(name)
            if spec is None or not (declared is not None and same(value, declared, spec)):
                state[name] = value
            else:
                state[name] = _completed(declared, value, spec)
        return {name: value for name, value in state.items() if value is not None}

    def _remembered(self, inputs: Properties, before: Properties) -> Properties:
        outputs = {name: before[name] for name in self.outputs if name in before}
        return {**outputs, **_plain(inputs)}

    def _secrets(self) -> list[Path]:
        marked = [name for name, spec in self.declared.items() if spec.secret]
        return [(name,) for name in (*self.secret_outputs, *marked)]


def _completed(desired: Any, live: Any, spec: Property) -> Any:
    """Merge the program's value with what AWS set inside it, such as the VPC of `vpcConfig`."""
    if spec.kind == "list" and spec.items and isinstance(desired, list):
        matches = isinstance(live, list) and len(live) == len(desired)
        theirs = live if matches else [live if live is UNKNOWN else None] * len(desired)
        return [
            _completed(mine, there, spec.items) for mine, there in zip(desired, theirs, strict=True)
        ]
    if spec.kind != "block" or not isinstance(desired, Mapping):
        return desired
    result = dict(desired)
    for name, inner in spec.fields.items():
        there = (
            UNKNOWN if live is UNKNOWN else live.get(name) if isinstance(live, Mapping) else None
        )
        if result.get(name) is not None:
            result[name] = _completed(result[name], there, inner)
        elif inner.computed and there is not None:
            result[name] = there
    return result


def _plain(inputs: Properties) -> Properties:
    return {
        name: value
        for name, value in inputs.items()
        if not name.startswith("__") and value is not None
    }


__all__ = ["AutoName", "Call", "Handler", "is_known"]
