"""Executes steps: create, update, replace, import, delete before replace; and records them."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import ProviderError, StepError
from sandbox.engine.monitor.resource_hooks import Action
from sandbox.engine.plugins.provider_client import Difference, ProviderClient
from sandbox.engine.request import Op
from sandbox.engine.state.backend import now
from sandbox.engine.state.property_values import equal, same_secrecy
from sandbox.engine.state.resource import Resource, is_provider
from sandbox.engine.steps.diff_resource import Registration
from sandbox.engine.steps.replace_dependents import dependents_to_replace


class StepExecutor:
    """Executes the steps of one operation; in a preview, providers return the expected result."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def same(self, registration: Registration, old: Resource) -> Resource:
        """Keep an unchanged resource; record its changed options."""
        new = registration.new
        new.id, new.outputs, new.init_errors = old.id, old.outputs, old.init_errors
        new.mark_secret_outputs()
        if is_provider(new.type):
            self._deployment.providers.same(new)
        if equal(old.inputs, new.inputs) and same_secrecy(old.inputs, new.inputs):
            new.modified, new.rest = old.modified, old.rest
        self.record(new, old, "same")
        if not registration.imported:
            self._deployment.same(new)
        return new

    def create(self, registration: Registration, op: Op) -> Resource:
        """Create the resource, new or as a replacement."""
        deployment, new, handler = self._deployment, registration.new, registration.handler
        if handler is None:
            return self._component(registration, op)

        def call() -> None:
            new.id, new.outputs = handler.create(
                new.urn,
                new.inputs,
                timeout=new.custom_timeouts.get("create", 0),
                preview=deployment.preview,
            )
            new.created = now()

        return self._change(registration, op, "Create", call)

    def update(self, registration: Registration, old: Resource) -> Resource:
        """Update the resource in place."""
        deployment, new, handler = self._deployment, registration.new, registration.handler
        new.id = old.id
        if handler is None:
            return self._component(registration, "update")

        def call() -> None:
            new.outputs = handler.update(
                new.urn,
                old.id,
                old.inputs,
                old.outputs,
                new.inputs,
                registration.request.ignore_changes,
                timeout=new.custom_timeouts.get("update", 0),
                preview=deployment.preview,
            )

        return self._change(registration, "update", "Update", call)

    def _component(self, registration: Registration, op: Op) -> Resource:
        deployment, new = self._deployment, registration.new
        action: Action = "Update" if op == "update" else "Create"
        old = registration.old if action == "Update" else None
        deployment.hooks.before(action, new, old)
        with deployment.step(op, new, registration.changes, slot=False):
            self._condemn_replaced(registration)
            self.record(new, registration.old, op)
            deployment.hooks.await_outputs(action, new, old)
        return new

    def _change(
        self, registration: Registration, op: Op, action: Action, call: Callable[[], None]
    ) -> Resource:
        """Call the provider as a pending operation and record the result."""
        deployment, new = self._deployment, registration.new
        old = registration.old if action == "Update" else None
        replaced = registration.old
        with deployment.step(op, new, registration.changes) as step:
            step.deleted_first = bool(
                replaced and deployment.deleted_already.get(replaced.urn) is replaced
            )
            deployment.hooks.before(action, new, old)
            try:
                with deployment.journal.during("updating" if old else "creating", new):
                    deployment.hooks.retrying(action, new, old, call)
            except ProviderError as error:
                partial = error.partial
                if partial is None or not partial.id:
                    deployment.journal.write()
                    raise
                new.id, new.outputs, new.init_errors = (
                    partial.id,
                    dict(partial.outputs),
                    partial.reasons,
                )
                if partial.inputs is not None:
                    new.inputs = dict(partial.inputs)
                self._record_change(registration, op)
                raise
            step.id = new.id
            self._record_change(registration, op)
            deployment.hooks.after(action, new, old)
        return new

    def _record_change(self, registration: Registration, op: Op) -> None:
        new = registration.new
        new.mark_secret_outputs()
        new.modified = now()
        new.created = new.created or new.modified
        self._condemn_replaced(registration)
        self.record(new, registration.old, op)

    def _condemn_replaced(self, registration: Registration) -> None:
        """Mark the replaced resource, which exists until the end of the operation."""
        if registration.keeps_old and registration.old is not None:
            self._deployment.journal.condemn(registration.old)

    def refuse_protected(self, old: Resource, new: Resource) -> None:
        """Refuse the replacement of a protected resource; a preview reports it and continues."""
        if not (old.protect and new.protect):
            return
        text = (
            "It is protected and would have to be replaced. Remove `protect` in the program, run "
            "`up`, then make this change."
        )
        if not self._deployment.preview:
            raise StepError(new.urn, text)
        self._deployment.recorder.message("error", new.urn, text)

    def replace(
        self, registration: Registration, old: Resource, difference: Difference
    ) -> Resource:
        """Replace the old resource: create first, unless provider or program delete first."""
        deployment, new = self._deployment, registration.new
        if registration.request.import_id:
            differences = "; ".join(
                f"{item.path}: {item.old!r} is live, {item.new!r} in the program"
                for item in registration.changes
            )
            problem = (
                f"It was imported and would have to be replaced ({differences}). Change the "
                "program to match, or remove the `import_` option."
            )
            if not deployment.preview:
                raise StepError(new.urn, problem)
            deployment.recorder.message("warning", new.urn, problem)
        former_urn = deployment.aliases.get(new.urn)
        if former_urn:
            deployment.former_urns[id(old)] = former_urn
        delete_first = registration.request.delete_before_replace
        if delete_first is None:
            delete_first = difference.delete_before_replace
        with deployment.lock:
            deployment.replaced.add(new.urn)
        if delete_first and old.custom:
            for dependent in reversed(dependents_to_replace(deployment, old)):
                self._delete_before_replace(dependent, because=new.urn)
            self._delete_before_replace(old, because=new.urn)
            return self.create(registration, "replace")
        registration.keeps_old = not old.pending_replacement
        return self.create(registration, "replace")

    def _delete_before_replace(self, old: Resource, because: str) -> None:
        """Delete a resource now; it stays in the state, marked, until its replacement."""
        deployment = self._deployment
        with deployment.lock:
            if old.pending_replacement or deployment.deleted_already.get(old.urn) is old:
                return
            if old.protect and old.urn != because:
                raise StepError(
                    because,
                    (
                        f"Replacing it deletes {old.urn} first, which is protected. Remove "
                        "`protect` from that resource, run `up`, then make this change."
                    ),
                )
            deployment.deleted_already[old.urn] = old
        deleted_with_owner = old.deleted_with and old.deleted_with in deployment.deleted_already
        try:
            deployment.hooks.before("Delete", None, old)
            if not (
                deployment.preview
                or old.retain_on_delete
                or deleted_with_owner
                or is_provider(old.type)
            ):
                deployment.delete(old)
        except Exception:  # any error: the resource still exists
            with deployment.lock:
                del deployment.deleted_already[old.urn]
            raise
        if not deployment.preview:
            old.pending_replacement = True
            deployment.journal.changed(old)
        deployment.hooks.after("Delete", None, old)

    def import_resource(self, registration: Registration) -> Resource:
        """Import an existing resource; differences to the program are updated next."""
        deployment, new, handler = self._deployment, registration.new, registration.handler
        identifier, replaced = (
            registration.request.import_id,
            registration.old is not None and not registration.old.external,
        )
        if not isinstance(handler, ProviderClient):
            raise StepError(new.urn, "Only a custom resource can be imported.")
        with deployment.step("replace" if replaced else "import", new) as step:
            step.id = identifier
            live_resource = handler.read(
                new.urn, identifier, None, {}, timeout=new.custom_timeouts.get("read", 0)
            )
            if live_resource is None:
                raise StepError(
                    new.urn, f"There is no resource with the ID {identifier!r} to import."
                )
            live_id, live_inputs, live_outputs = live_resource
            live = new.copy(
                id=live_id, inputs=live_inputs, outputs=live_outputs, created=now(), modified=now()
            )
            if registration.old is not None:
                deployment.journal.condemn(registration.old)
            live.mark_secret_outputs()
            self.record(live, registration.old, "import")
        return live

    def record(self, new: Resource, old: Resource | None, op: Op) -> None:
        """Record a resource in the state and for the rest of the operation."""
        deployment = self._deployment
        with deployment.lock:
            deployment.registered[new.urn] = new
            if op != "same":
                deployment.targeted_parents.add(new.urn)
        if not deployment.preview:
            kept_beside = old is None or old.delete
            deployment.journal.put(
                new,
                replacing=None if kept_beside else old,
                unchanged=op == "same",
                forget_creation=deployment.request.deviations.forget_creations,
            )
