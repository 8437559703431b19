"""Registering one resource: find what it was, decide what to do, do it, record it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.engine import paths
from sandbox.engine.assets import with_hashes
from sandbox.engine.backend import now
from sandbox.engine.defaults import DefaultProviders
from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import PartialState, ProviderError, StepError
from sandbox.engine.goals import Goal
from sandbox.engine.names import aliased_urns
from sandbox.engine.plugins import Difference, Plugin
from sandbox.engine.providers import Providers
from sandbox.engine.replacement import dependents_to_replace
from sandbox.engine.request import Op, PropertyChange
from sandbox.engine.state import Resource, is_provider, make_urn, provider_package, split_reference, urn_type
from sandbox.engine.values import (
    UNKNOWN_ID,
    Properties,
    contains_unknown,
    equal,
    plain,
    same_secrecy,
    secret,
)


@dataclass(slots=True)
class Registered:
    """The answer to a registration. `elided`: left out by the targets, its outputs stay unknown."""

    state: Resource
    elided: bool = False


class Skipped(Exception):  # noqa: N818 - no error: the failure has been reported where it happened
    """A resource wasn't tried because something that it needs failed; that failure has been reported."""


@dataclass(slots=True)
class _Work:
    """A registration on its way: the goal, what it was, what it is to be, who handles it."""

    goal: Goal
    urn: str
    old: Resource | None
    new: Resource
    handler: Plugin | Providers | None
    changes: list[PropertyChange]
    difference: Difference | None = None


class Registrations:
    """Plans and executes registrations; called from as many threads as the program has requests under way."""

    def __init__(self, deployment: Deployment, defaults: DefaultProviders) -> None:
        self._deployment, self._defaults = deployment, defaults

    def register(self, goal: Goal) -> Registered:
        """Bring one resource to its goal. StepError when it can't be; Skipped when what it needs failed."""
        deployment = self._deployment
        urn = make_urn(deployment.request.stack, deployment.project.name, goal.parent, goal.type, goal.name)
        try:
            self._claim(urn, goal)
            return self._register(goal, urn)
        except Skipped:
            deployment.fail(urn, goal.parent)
            raise
        except StepError as error:
            deployment.fail(urn, goal.parent)
            raise StepError(error.urn or urn, str(error)) from error
        except Exception as error:
            deployment.fail(urn, goal.parent)
            raise StepError(urn, str(error)) from error

    def _claim(self, urn: str, goal: Goal) -> None:
        deployment = self._deployment
        with deployment.lock:
            if urn in deployment.claimed:
                raise StepError(
                    urn, f"Two resources have the URN {urn}. Give one of them another name, or another parent."
                )
            deployment.claimed.add(urn)
            if goal.parent and goal.parent not in deployment.registered and goal.parent not in deployment.failed:
                raise StepError(urn, f"The parent {goal.parent} hasn't been registered.")
            if goal.needs() & deployment.failed or goal.follows() & deployment.incomplete:
                raise Skipped

    def _register(self, goal: Goal, urn: str) -> Registered:
        deployment = self._deployment
        old = self._find_old(goal, urn)
        if not self._is_targeted(goal, urn):
            return self._untouched(self._new_state(goal, urn, old), old)
        if not deployment.preview and contains_unknown(goal.inputs):
            # Only a failed or left-out resource has unknown outputs while things are really made.
            left_out = goal.needs() & deployment.elided
            if left_out:
                raise StepError(
                    urn, f"It needs {', '.join(sorted(left_out))}, which the targets leave out. Target it too."
                )
            raise Skipped
        new = self._new_state(goal, urn, old)
        work = _Work(goal, urn, old, new, self._handler(goal, new), [])
        if goal.import_id and self._wants_import(work):
            return Registered(self._import(work))
        return Registered(self._settle(work))

    def _is_targeted(self, goal: Goal, urn: str) -> bool:
        deployment = self._deployment
        if deployment.targeted(urn) or is_provider(goal.type) or not goal.custom:
            return True
        return deployment.request.target_dependents and any(
            deployment.targeted(needed) or needed in deployment.targeted_parents for needed in goal.needs()
        )

    def _untouched(self, new: Resource, old: Resource | None) -> Registered:
        deployment = self._deployment
        if old is None:
            with deployment.lock:
                deployment.elided.add(new.urn)
                deployment.registered[new.urn] = new
            return Registered(new, elided=True)
        kept = old.copy(urn=new.urn, parent=new.parent).renamed(deployment.aliases)
        if kept.provider:
            deployment.providers.load(kept.provider, deployment.journal.resources())
        self._record(kept, old, "same")
        deployment.same(kept)
        return Registered(kept)

    # What was there before

    def _find_old(self, goal: Goal, urn: str) -> Resource | None:
        deployment = self._deployment
        with deployment.lock:
            condemned = deployment.condemned.get(urn)
            if condemned is not None:
                return condemned
            for candidate in (urn, *aliased_urns(goal, deployment)):
                old = deployment.olds.get(candidate)
                if old is None or (candidate != urn and candidate in deployment.claimed):
                    continue
                if candidate != urn:
                    deployment.aliases[urn] = candidate
                    deployment.claimed.add(candidate)
                    deployment.journal.rename(old, {candidate: urn})
                return old
        return None

    def _new_state(self, goal: Goal, urn: str, old: Resource | None) -> Resource:
        parent = self._deployment.registered.get(goal.parent)
        protect = goal.protect if goal.protect is not None else bool(parent and parent.protect)
        retain = (
            goal.retain_on_delete if goal.retain_on_delete is not None else bool(parent and parent.retain_on_delete)
        )
        return Resource(
            urn=urn,
            type=goal.type,
            custom=goal.custom,
            inputs=with_hashes(goal.inputs, self._deployment.project.program),
            parent=goal.parent,
            protect=protect,
            dependencies=goal.dependencies,
            property_dependencies=goal.property_dependencies,
            additional_secret_outputs=goal.additional_secret_outputs,
            custom_timeouts=goal.timeouts,
            import_id=goal.import_id,
            retain_on_delete=retain,
            deleted_with=goal.deleted_with or (parent.deleted_with if parent else ""),
            replace_with=goal.replace_with,
            replacement_trigger=goal.replacement_trigger,
            ignore_changes=goal.ignore_changes,
            replace_on_changes=goal.replace_on_changes,
            hide_diff=[list(paths.parse_path(text)) for text in goal.hide_diff],
            created=old.created if old else "",
            modified=old.modified if old else "",
        )

    def _handler(self, goal: Goal, new: Resource) -> Plugin | Providers | None:
        if not goal.custom:
            return None
        if is_provider(goal.type):
            return self._deployment.providers
        reference, plugin = self._defaults.resolve(
            goal.provider, goal.parent, provider_package(goal.type), goal.version, goal.plugin_url
        )
        new.provider = reference
        return plugin

    # Deciding

    def _settle(self, work: _Work) -> Resource:
        goal, old, new, handler = work.goal, work.old, work.new, work.handler
        recreate = old is not None and (old.pending_replacement or self._is_condemned(old) or old.external)
        base = old.inputs if old is not None and not recreate else {}
        if old is not None and not recreate:
            new.inputs = paths.ignore_changes(new.inputs, old.inputs, goal.ignore_changes)
        wanted = new.inputs
        if handler is not None:
            new.inputs = handler.check(new.urn, base, wanted, os.urandom(32))
        if old is None:
            return self._create(work, "create")
        if recreate:
            return self._create(work, "replace" if not old.external else "create")
        if old.custom != new.custom:
            raise StepError(new.urn, "A component can't become a custom resource, or the reverse, under the same URN.")
        difference = self._diff(work)
        if difference.changes and difference.replace:
            if handler is not None:
                new.inputs = handler.check(new.urn, {}, wanted, os.urandom(32))
            return self._replace(work, difference)
        if difference.changes or old.init_errors:
            return self._update(work)
        return self._same(work)

    def _is_condemned(self, old: Resource) -> bool:
        return self._deployment.condemned.get(old.urn) is old

    def _diff(self, work: _Work) -> Difference:
        goal, old, new, handler = work.goal, work.old, work.new, work.handler
        assert old is not None  # noqa: S101 - only called for resources that exist
        forced = self._forced_replacement(goal, old, new)
        if forced:
            work.changes = [PropertyChange(forced, "update", replaces=True)]
            return Difference(changes=True, replaces=[forced])
        if handler is None:
            work.changes = paths.compare(old.inputs, new.inputs)
            return Difference(changes=bool(work.changes))
        difference = handler.diff(new.urn, old.id, old.inputs, old.outputs, new.inputs, goal.ignore_changes)
        if difference.changes is None:
            work.changes = paths.compare(old.inputs, new.inputs)
            difference.changes = bool(work.changes)
            difference.changed = sorted({str(paths.parse_path(item.path)[0]) for item in work.changes})
        self._force_by_option(goal, old, difference)
        work.changes = self._describe(work, difference)
        return difference

    def _forced_replacement(self, goal: Goal, old: Resource, new: Resource) -> str:
        deployment = self._deployment
        if old.taint:
            return "id"
        if any(urn in deployment.replaced for urn in goal.replace_with):
            return "replaceWith"
        if new.deleted_with and new.deleted_with in deployment.replaced:
            return "deletedWith"
        if goal.replacement_trigger is not None and not equal(old.replacement_trigger, goal.replacement_trigger):
            return "replacementTrigger"
        if old.provider != new.provider and self._provider_replaces(old, new):
            return "provider"
        return ""

    def _provider_replaces(self, old: Resource, new: Resource) -> bool:
        if not old.provider or not new.provider:
            return True
        deployment = self._deployment
        (old_urn, old_id), (new_urn, _) = split_reference(old.provider), split_reference(new.provider)
        if deployment.aliases.get(new_urn) == old_urn:
            return False
        if urn_type(old_urn) != urn_type(new_urn):
            return True
        before = next((item for item in deployment.journal.base if item.urn == old_urn and item.id == old_id), None)
        after, plugin = deployment.registered.get(new_urn), deployment.providers.get(new.provider)
        if before is None or after is None or plugin is None:
            return False
        return plugin.diff_config(new_urn, before.inputs, before.outputs, after.inputs).replace

    @staticmethod
    def _force_by_option(goal: Goal, old: Resource, difference: Difference) -> None:
        patterns = [paths.parse_path(text) for text in goal.replace_on_changes]
        if not patterns or not (difference.changes or old.init_errors):
            return
        for text, (kind, of_input) in difference.detailed.items():
            path = paths.parse_path(text)
            if not kind.endswith("replace") and any(paths.covers(pattern, path) for pattern in patterns):
                difference.detailed[text] = (f"{kind}-replace", of_input)
        for key in difference.changed:
            if key not in difference.replaces and any(paths.covers(item, paths.parse_path(key)) for item in patterns):
                difference.replaces.append(key)
        if old.init_errors and any(paths.covers(pattern, ("#initerror",)) for pattern in patterns):
            difference.changes = True
            difference.replaces.append("#initerror")

    @staticmethod
    def _describe(work: _Work, difference: Difference) -> list[PropertyChange]:
        old, new = work.old, work.new
        assert old is not None  # noqa: S101 - only called for resources that exist
        if not difference.changes:
            return []
        if difference.detailed:
            changes = paths.described(difference.detailed, old.inputs, old.outputs, new.inputs)
        else:
            replaces = set(difference.replaces)
            changes = [
                PropertyChange(
                    item.path, item.kind, item.old, item.new, str(paths.parse_path(item.path)[0]) in replaces
                )
                for item in paths.compare(old.inputs, new.inputs)
            ]
        hidden = [tuple(path) for path in new.hide_diff]
        return [item for item in changes if not any(paths.covers(path, paths.parse_path(item.path)) for path in hidden)]

    # Doing

    def _same(self, work: _Work) -> Resource:
        old, new = work.old, work.new
        assert old is not None  # noqa: S101 - only called for resources that exist
        new.id, new.outputs, new.init_errors = old.id, old.outputs, old.init_errors
        new.import_id = new.import_id or old.import_id
        self._mark_secrets(new)
        if is_provider(new.type):
            self._deployment.providers.same(new)
        if not self._recordable_change(old, new):
            new.modified, new.rest = old.modified, old.rest
        self._record(new, old, "same")
        self._deployment.same(new)
        return new

    @staticmethod
    def _recordable_change(old: Resource, new: Resource) -> bool:
        return not (equal(old.inputs, new.inputs) and same_secrecy(old.inputs, new.inputs))

    def _create(self, work: _Work, op: Op) -> Resource:
        deployment, new, handler = self._deployment, work.new, work.handler
        if handler is None:
            new.outputs = dict(plain_outputs(new.inputs))
            with deployment.step(op, new, work.changes, slot=False):
                self._record(new, work.old, op)
            return new
        with deployment.step(op, new, work.changes) as step:
            finish = None if deployment.preview else deployment.journal.begin("creating", new)
            try:
                new.id, new.outputs = handler.create(
                    new.urn, new.inputs, timeout=new.custom_timeouts.get("create", 0), preview=deployment.preview
                )
            except ProviderError as error:
                if finish:
                    finish()
                if error.partial is not None and error.partial.id:
                    self._keep_partial(work, error.partial, op)
                else:
                    deployment.journal.write()
                raise
            if finish:
                finish()
            step.id = new.id
            self._mark_secrets(new)
            new.created = new.modified = now()
            self._record(new, work.old, op)
        return new

    def _keep_partial(self, work: _Work, partial: PartialState, op: Op) -> None:
        new = work.new
        new.id, new.outputs, new.init_errors = partial.id, dict(partial.outputs), partial.reasons
        if partial.inputs is not None:
            new.inputs = dict(partial.inputs)
        self._mark_secrets(new)
        new.created = new.created or now()
        new.modified = now()
        self._record(new, work.old, op)

    def _update(self, work: _Work) -> Resource:
        deployment, old, new, handler = self._deployment, work.old, work.new, work.handler
        assert old is not None  # noqa: S101 - only called for resources that exist
        new.id = old.id
        if handler is None:
            new.outputs = dict(plain_outputs(new.inputs))
            with deployment.step("update", new, work.changes, slot=False):
                self._record(new, old, "update")
            return new
        with deployment.step("update", new, work.changes):
            finish = None if deployment.preview else deployment.journal.begin("updating", new)
            try:
                new.outputs = handler.update(
                    new.urn, old.id, old.inputs, old.outputs, new.inputs, work.goal.ignore_changes,
                    timeout=new.custom_timeouts.get("update", 0), preview=deployment.preview,
                )  # fmt: skip
            except ProviderError as error:
                if finish:
                    finish()
                if error.partial is not None and error.partial.id:
                    self._keep_partial(work, error.partial, "update")
                else:
                    deployment.journal.write()
                raise
            if finish:
                finish()
            self._mark_secrets(new)
            new.modified = now()
            self._record(new, old, "update")
        return new

    def _replace(self, work: _Work, difference: Difference) -> Resource:
        deployment, old, new = self._deployment, work.old, work.new
        assert old is not None  # noqa: S101 - only called for resources that exist
        if old.protect and new.protect:
            raise StepError(
                new.urn,
                "It would have to be replaced, but it is protected. Take `protect` off it in the program, run `up`, "
                "then make this change.",
            )
        if work.goal.import_id and not deployment.preview:
            raise StepError(
                new.urn, "It was imported and would have to be replaced. Take the `import_` option off it first."
            )
        delete_first = difference.delete_before_replace
        if work.goal.delete_before_replace is not None:
            delete_first = work.goal.delete_before_replace
        with deployment.lock:
            deployment.replaced.add(new.urn)
        if delete_first and old.custom:
            for dependent in reversed(dependents_to_replace(deployment, old)):
                self._condemn(dependent, because=new.urn)
            self._condemn(old, because=new.urn)
            return self._create(work, "replace")
        deployment.journal.condemn(old)
        try:
            return self._create(work, "replace")
        except Exception:
            if new.urn not in deployment.registered:
                old.delete = False
                if not deployment.preview:
                    deployment.journal.changed(old)
            raise

    def _condemn(self, old: Resource, because: str) -> None:
        """Delete a resource now; it stays in the state, marked, until it is made anew."""
        deployment = self._deployment
        with deployment.lock:
            if deployment.condemned.get(old.urn) is old:
                return
            if old.protect and old.urn != because:
                raise StepError(
                    because,
                    f"Replacing it deletes {old.urn} first, which is protected. Take `protect` off that resource, "
                    "run `up`, then make this change.",
                )
            deployment.condemned[old.urn] = old
        if deployment.preview:
            return
        if not old.retain_on_delete and not (old.deleted_with and old.deleted_with in deployment.condemned):
            plugin = (
                None
                if is_provider(old.type)
                else deployment.providers.load(old.provider, deployment.journal.resources())
            )
            if plugin is not None:
                finish = deployment.journal.begin("deleting", old)
                try:
                    plugin.delete(
                        old.urn, old.id, old.inputs, old.outputs, timeout=old.custom_timeouts.get("delete", 0)
                    )
                except Exception:
                    with deployment.lock:
                        del deployment.condemned[old.urn]
                    raise
                finally:
                    finish()
        old.pending_replacement = True
        deployment.journal.changed(old)

    # Importing

    @staticmethod
    def _wants_import(work: _Work) -> bool:
        old, wanted = work.old, work.goal.import_id
        return old is None or old.external or wanted not in (old.id, old.import_id)

    def _import(self, work: _Work) -> Resource:
        deployment, new, handler = self._deployment, work.new, work.handler
        identifier = work.goal.import_id
        if not isinstance(handler, Plugin):
            raise StepError(new.urn, "Only a custom resource can be imported.")
        with deployment.step("import", new) as step:
            step.id = identifier
            found = handler.read(new.urn, identifier, {}, {}, timeout=new.custom_timeouts.get("read", 0))
            if found is None:
                raise StepError(new.urn, f"Nothing with the id {identifier!r} exists to be imported.")
            live_id, live_inputs, live_outputs = found
            wanted = paths.ignore_changes(new.inputs, live_inputs, work.goal.ignore_changes)
            new.inputs = handler.check(new.urn, live_inputs, wanted, os.urandom(32))
            live = new.copy(id=live_id, inputs=live_inputs, outputs=live_outputs)
            difference = handler.diff(new.urn, live_id, live_inputs, live_outputs, new.inputs, work.goal.ignore_changes)
            if difference.changes or (difference.changes is None and not equal(live_inputs, new.inputs)):
                checking = _Work(work.goal, new.urn, live, new, handler, [])
                step.changes = self._describe(checking, Difference(True, detailed=difference.detailed))
                text = "; ".join(
                    f"{item.path}: {item.old!r} is live, {item.new!r} in the program" for item in step.changes
                )
                problem = f"The program's inputs don't match the resource to import: {text}. Make them agree."
                if not deployment.preview:
                    raise StepError(new.urn, problem)
                deployment.recorder.message("warning", new.urn, problem)
            new.id, new.outputs = live_id, live_outputs
            self._mark_secrets(new)
            new.created = new.modified = now()
            if work.old is not None:
                deployment.journal.condemn(work.old)
            self._record(new, None, "import")
        return new

    # Recording

    @staticmethod
    def _mark_secrets(new: Resource) -> None:
        for key in new.additional_secret_outputs:
            if key in new.outputs:
                new.outputs[key] = secret(new.outputs[key])

    def _record(self, new: Resource, old: Resource | None, op: Op) -> None:
        deployment = self._deployment
        with deployment.lock:
            deployment.registered[new.urn] = new
            if op != "same":
                deployment.targeted_parents.add(new.urn)
        if not deployment.preview:
            kept_beside = old is None or old.delete
            deployment.journal.put(new, replacing=None if kept_beside else old)


def plain_outputs(inputs: Mapping[str, Any]) -> Properties:
    """A component's outputs until it registers its own: its inputs."""
    return {key: value for key, value in inputs.items() if value is not None}


__all__ = ["UNKNOWN_ID", "Registered", "Registrations", "Skipped", "plain"]
