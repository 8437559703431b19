"""Registers one resource: finds its old state and provider, compares, and executes the step."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import StepError
from sandbox.engine.monitor.register_request import RegisterRequest
from sandbox.engine.plugins.default_providers import DefaultProviders
from sandbox.engine.plugins.provider_client import ProviderClient
from sandbox.engine.plugins.provider_registry import Providers
from sandbox.engine.state import property_paths, property_values
from sandbox.engine.state.assets import with_hashes
from sandbox.engine.state.resource import Resource, is_provider, make_urn, provider_package
from sandbox.engine.steps.aliases import aliased_urns
from sandbox.engine.steps.diff_resource import Registration, diff_resource
from sandbox.engine.steps.step_executor import StepExecutor


@dataclass(slots=True)
class Registered:
    """The result of a registration; `elided` resources are not targeted, their outputs unknown."""

    state: Resource
    elided: bool = False


class Skipped(Exception):  # noqa: N818 - not an error: the failure is reported where it happened
    """A resource was skipped because a dependency failed, which has been reported."""


class Registrations:
    """Serves registrations, from as many threads as the program has pending requests."""

    def __init__(self, deployment: Deployment, defaults: DefaultProviders) -> None:
        self._deployment, self._defaults = deployment, defaults
        self._execution = StepExecutor(deployment)

    def register(self, request: RegisterRequest) -> Registered:
        """Register one resource. Raises StepError, or Skipped when a dependency failed."""
        deployment = self._deployment
        urn = make_urn(
            deployment.request.stack,
            deployment.project.name,
            request.parent,
            request.type,
            request.name,
        )
        try:
            self._claim(urn, request)
            return self._register(request, urn)
        except Skipped:
            deployment.fail(urn, request.parent)
            raise
        except StepError as error:
            deployment.fail(urn, request.parent)
            raise StepError(error.urn or urn, str(error)) from error
        except Exception as error:
            deployment.fail(urn, request.parent)
            raise StepError(urn, str(error)) from error

    def _claim(self, urn: str, request: RegisterRequest) -> None:
        deployment = self._deployment
        with deployment.lock:
            if urn in deployment.claimed:
                raise StepError(
                    urn,
                    f"Two resources have the URN {urn}. Change the name or the parent of one.",
                )
            deployment.claimed.add(urn)
            if (
                request.parent
                and request.parent not in deployment.registered
                and request.parent not in deployment.failed
            ):
                raise StepError(urn, f"The parent {request.parent} is not registered.")
            if request.needs() & deployment.failed or request.follows() & deployment.incomplete:
                raise Skipped

    def _register(self, request: RegisterRequest, urn: str) -> Registered:
        deployment = self._deployment
        old = self._find_old(request, urn)
        if deployment.destroying:
            new = self._new_state(request, urn, old)
            self._handler(request, new)  # registers default providers, as the CLI does
            return self._from_state(new, old)
        untargeted = request.needs() & deployment.elided
        # A component is registered without being targeted, because its children may be; not if a
        # dependency is missing.
        unwanted = not request.custom and untargeted and not deployment.targeted(urn)
        if (unwanted or not self._is_targeted(request, urn)) and (
            old is None or request.parent not in untargeted
        ):
            return self._untouched(request, self._new_state(request, urn, old), old)
        if not deployment.preview and property_values.contains_unknown(request.inputs):
            # Outside previews, only failed and excluded resources have unknown outputs.
            if not untargeted:
                raise Skipped
            request = replace(request, inputs=property_values.without_unknowns(request.inputs))
        new = self._new_state(request, urn, old)
        registration = Registration(request, old, new, self._handler(request, new))
        if request.import_id and self._wants_import(registration):
            live = self._execution.import_resource(registration)
            registration = Registration(
                request,
                live,
                self._new_state(request, urn, live),
                registration.handler,
                imported=True,
            )
            registration.new.provider = live.provider
        return Registered(self._settle(registration, untargeted))

    def _from_state(self, new: Resource, old: Resource | None) -> Registered:
        """Return the state: a destroy runs the program for its hooks only."""
        deployment = self._deployment
        if old is not None:
            old.resource_hooks = new.resource_hooks
            if is_provider(old.type):
                self._compare_provider(new, old)
                deployment.providers.same(old)
            deployment.same(old)  # counted as the CLI does
        elif is_provider(new.type):
            new.inputs = deployment.providers.check(new.urn, {}, {}, new.inputs, b"")
            new.id, new.outputs = deployment.providers.create(
                new.urn, new.inputs, timeout=0, preview=True
            )
        with deployment.lock:
            deployment.registered[new.urn] = old or new
        return Registered(old or new, elided=old is None)

    def _compare_provider(self, new: Resource, old: Resource) -> None:
        """Ask the provider about its configuration as the CLI does; a destroy uses the state's."""
        providers = self._deployment.providers
        checked = providers.check(new.urn, old.inputs, old.outputs, new.inputs, b"")
        providers.diff(new.urn, old.id, old.inputs, old.outputs, checked, [])

    def _is_targeted(self, request: RegisterRequest, urn: str) -> bool:
        deployment = self._deployment
        if deployment.targeted(urn) or is_provider(request.type) or not request.custom:
            return True
        return deployment.request.target_dependents and any(
            deployment.targeted(needed) or needed in deployment.targeted_parents
            for needed in request.needs()
        )

    def _untouched(
        self, request: RegisterRequest, new: Resource, old: Resource | None
    ) -> Registered:
        deployment = self._deployment
        if old is None:
            with deployment.lock:
                deployment.elided.add(new.urn)
                deployment.registered[new.urn] = new
            deployment.same(new)  # counted as the CLI does
            return Registered(new, elided=True)
        self._handler(request, new)  # providers are always registered, so that none appears unused
        unchanged = old.copy(urn=new.urn, parent=new.parent).renamed(deployment.aliases)
        if unchanged.provider:
            deployment.providers.load(unchanged.provider, deployment.journal.resources)
        self._execution.record(unchanged, old, "same")
        deployment.same(unchanged)
        return Registered(unchanged)

    # Old state

    def _find_old(self, request: RegisterRequest, urn: str) -> Resource | None:
        deployment = self._deployment
        with deployment.lock:
            deleted_already = deployment.deleted_already.get(urn)
            if deleted_already is not None:
                return deleted_already
            for candidate in (urn, *aliased_urns(request, deployment)):
                old = deployment.olds.get(candidate)
                if old is None:
                    continue
                if candidate != urn:
                    if candidate in deployment.claimed:
                        raise StepError(
                            urn,
                            f"Its alias {candidate} is the URN or the alias of another resource. "
                            "Remove one of the two.",
                        )
                    deployment.aliases[urn] = candidate
                    deployment.claimed.add(candidate)
                    if candidate in deployment.deleted_already:
                        deployment.deleted_already[urn] = deployment.deleted_already.pop(candidate)
                    deployment.journal.rename(old, {candidate: urn})
                return old
        return None

    def _new_state(self, request: RegisterRequest, urn: str, old: Resource | None) -> Resource:
        parent = self._deployment.registered.get(request.parent)
        protect = (
            request.protect if request.protect is not None else bool(parent and parent.protect)
        )
        retain = (
            request.retain_on_delete
            if request.retain_on_delete is not None
            else bool(parent and parent.retain_on_delete)
        )
        return Resource(
            urn=urn,
            type=request.type,
            custom=request.custom,
            inputs=with_hashes(request.inputs, self._deployment.project.program),
            parent=request.parent,
            protect=protect,
            dependencies=request.dependencies,
            property_dependencies=request.property_dependencies,
            additional_secret_outputs=request.additional_secret_outputs,
            custom_timeouts=request.timeouts,
            import_id=request.import_id,
            retain_on_delete=retain,
            deleted_with=request.deleted_with or (parent.deleted_with if parent else ""),
            replace_with=request.replace_with,
            replacement_trigger=request.replacement_trigger,
            ignore_changes=request.ignore_changes,
            replace_on_changes=request.replace_on_changes,
            hide_diff=[
                property_paths.format_path(property_paths.parse_path(text))
                for text in request.hide_diff
            ],
            resource_hooks=request.hooks,
            created=old.created if old else "",
            modified=old.modified if old else "",
        )

    def _handler(
        self, request: RegisterRequest, new: Resource
    ) -> ProviderClient | Providers | None:
        if not request.custom:
            return None
        if is_provider(request.type):
            return self._deployment.providers
        reference, plugin = self._defaults.resolve(
            request.provider,
            request.parent,
            provider_package(request.type),
            request.version,
            request.plugin_url,
        )
        new.provider = reference
        return plugin

    def _settle(self, registration: Registration, untargeted: set[str]) -> Resource:
        request, old, new, handler = (
            registration.request,
            registration.old,
            registration.new,
            registration.handler,
        )
        # As in Pulumi's engine, a resource that an alias renamed is compared, although deleted.
        deleted_already = (
            old is not None
            and new.urn not in self._deployment.aliases
            and self._deployment.deleted_already.get(old.urn) is old
        )
        recreate = old is not None and (deleted_already or old.external)
        declared, base, base_outputs = new.inputs, {}, {}
        if old is not None and not recreate:
            base, base_outputs = old.inputs, old.outputs
            new.inputs = self._with_ignored_changes(request, new, old)
        if handler is not None:
            new.inputs = handler.check(new.urn, base, base_outputs, new.inputs, os.urandom(32))
        if untargeted:
            raise StepError(
                new.urn,
                (
                    f"It depends on {', '.join(sorted(untargeted))}, which the targets exclude. "
                    "Target it too."
                ),
            )
        if old is None:
            return self._execution.create(registration, "create")
        if recreate:
            return self._execution.create(registration, "replace")
        if old.custom != new.custom:
            raise StepError(
                new.urn,
                (
                    "A component cannot become a custom resource, or the reverse, under the same "
                    "URN."
                ),
            )
        difference = diff_resource(self._deployment, registration, old)
        if old.pending_replacement or (difference.changes and difference.replace):
            self._execution.refuse_protected(old, new)
            if handler is not None:
                # As in Pulumi's engine, a replacement gets the ignored changes.
                new.inputs = handler.check(new.urn, {}, {}, declared, os.urandom(32))
            return self._execution.replace(registration, old, difference)
        if difference.changes or old.init_errors:
            return self._execution.update(registration, old)
        return self._execution.same(registration, old)

    def _with_ignored_changes(
        self, request: RegisterRequest, new: Resource, old: Resource
    ) -> property_values.Properties:
        inputs, failed = property_paths.ignore_changes(
            new.inputs, old.inputs, request.ignore_changes
        )
        if failed:
            text = "Changes that add or remove an element of a path cannot be ignored: "
            self._deployment.recorder.message("info", new.urn, text + ", ".join(failed) + ".")
        return inputs

    @staticmethod
    def _wants_import(registration: Registration) -> bool:
        old, desired = registration.old, registration.request.import_id
        return old is None or old.external or desired not in (old.id, old.import_id)
