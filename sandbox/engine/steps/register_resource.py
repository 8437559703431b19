"""Registering one resource: find what it was and who handles it, then have decided and done what it needs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import StepError
from sandbox.engine.monitor.register_request import Goal
from sandbox.engine.plugins.default_providers import DefaultProviders
from sandbox.engine.plugins.provider_client import Plugin
from sandbox.engine.plugins.provider_registry import Providers
from sandbox.engine.state import property_paths
from sandbox.engine.state.assets import with_hashes
from sandbox.engine.state.property_values import contains_unknown
from sandbox.engine.state.resource import Resource, is_provider, make_urn, provider_package
from sandbox.engine.steps.aliases import aliased_urns
from sandbox.engine.steps.diff_resource import Work, decide
from sandbox.engine.steps.step_executor import Execution


@dataclass(slots=True)
class Registered:
    """The answer to a registration. `elided`: left out by the targets, its outputs stay unknown."""

    state: Resource
    elided: bool = False


class Skipped(Exception):  # noqa: N818 - no error: the failure has been reported where it happened
    """A resource wasn't tried because something that it needs failed; that failure has been reported."""


class Registrations:
    """Serves registrations; called from as many threads as the program has requests under way."""

    def __init__(self, deployment: Deployment, defaults: DefaultProviders) -> None:
        self._deployment, self._defaults = deployment, defaults
        self._execution = Execution(deployment)

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
        if deployment.destroying:
            return self._recalled(self._new_state(goal, urn, old), old)
        left_out = goal.needs() & deployment.elided
        # A component is registered even if it isn't targeted, for what is in it may be; not where what it needs is missing.
        unwanted = not goal.custom and left_out and not deployment.targeted(urn)
        if (unwanted or not self._is_targeted(goal, urn)) and (old is None or goal.parent not in left_out):
            return self._untouched(goal, self._new_state(goal, urn, old), old)
        if left_out:
            raise StepError(urn, f"It needs {', '.join(sorted(left_out))}, which the targets leave out. Target it too.")
        if not deployment.preview and contains_unknown(goal.inputs):
            raise Skipped  # only a failed resource has unknown outputs while things are really made
        new = self._new_state(goal, urn, old)
        work = Work(goal, old, new, self._handler(goal, new))
        if goal.import_id and self._wants_import(work):
            live = self._execution.adopt(work)
            work = Work(goal, live, self._new_state(goal, urn, live), work.handler, imported=True)
            work.new.provider = live.provider
        return Registered(self._settle(work))

    def _recalled(self, new: Resource, old: Resource | None) -> Registered:
        """Answer with what is there: while everything is to go, the program is run for its hooks alone."""
        deployment = self._deployment
        if old is not None:
            old.resource_hooks = new.resource_hooks
            if is_provider(old.type):
                deployment.providers.same(old)
        elif is_provider(new.type):
            new.inputs = deployment.providers.check(new.urn, {}, new.inputs, b"")
            new.id, new.outputs = deployment.providers.create(new.urn, new.inputs, timeout=0, preview=True)
        with deployment.lock:
            deployment.registered[new.urn] = old or new
        return Registered(old or new, elided=old is None)

    def _is_targeted(self, goal: Goal, urn: str) -> bool:
        deployment = self._deployment
        if deployment.targeted(urn) or is_provider(goal.type) or not goal.custom:
            return True
        return deployment.request.target_dependents and any(
            deployment.targeted(needed) or needed in deployment.targeted_parents for needed in goal.needs()
        )

    def _untouched(self, goal: Goal, new: Resource, old: Resource | None) -> Registered:
        deployment = self._deployment
        if old is None:
            with deployment.lock:
                deployment.elided.add(new.urn)
                deployment.registered[new.urn] = new
            deployment.same(new)  # as the CLI counts it
            return Registered(new, elided=True)
        self._handler(goal, new)  # providers are always registered, so that none seems to be unused
        kept = old.copy(urn=new.urn, parent=new.parent).renamed(deployment.aliases)
        if kept.provider:
            deployment.providers.load(kept.provider, deployment.journal.resources())
        self._execution.record(kept, old, "same")
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
                    if candidate in deployment.condemned:
                        deployment.condemned[urn] = deployment.condemned.pop(candidate)
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
            hide_diff=[property_paths.format_path(property_paths.parse_path(text)) for text in goal.hide_diff],
            resource_hooks=goal.hooks,
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

    def _settle(self, work: Work) -> Resource:
        goal, old, new, handler = work.goal, work.old, work.new, work.handler
        condemned = old is not None and self._deployment.condemned.get(old.urn) is old
        recreate = old is not None and (condemned or old.pending_replacement or old.external)
        base = old.inputs if old is not None and not recreate else {}
        if old is not None and not recreate:
            new.inputs = property_paths.ignore_changes(new.inputs, old.inputs, goal.ignore_changes)
        wanted = new.inputs
        if handler is not None:
            new.inputs = handler.check(new.urn, base, wanted, os.urandom(32))
        if old is None:
            return self._execution.create(work, "create")
        if recreate:
            return self._execution.create(work, "replace")
        if old.custom != new.custom:
            raise StepError(new.urn, "A component can't become a custom resource, or the reverse, under the same URN.")
        difference = decide(self._deployment, work, old)
        if difference.changes and difference.replace:
            if handler is not None:
                new.inputs = handler.check(new.urn, {}, wanted, os.urandom(32))
            return self._execution.replace(work, old, difference)
        if difference.changes or old.init_errors:
            return self._execution.update(work, old)
        return self._execution.same(work, old)

    @staticmethod
    def _wants_import(work: Work) -> bool:
        old, wanted = work.old, work.goal.import_id
        return old is None or old.external or wanted not in (old.id, old.import_id)
