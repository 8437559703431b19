"""Doing what was decided for a resource: create, update, replace, import, delete beforehand; and recording it."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import ProviderError, StepError
from sandbox.engine.monitor.resource_hooks import Action
from sandbox.engine.plugins.provider_client import Difference, Plugin
from sandbox.engine.request import Op
from sandbox.engine.state.backend import now
from sandbox.engine.state.property_values import equal, same_secrecy, secret
from sandbox.engine.state.resource import Resource, is_provider
from sandbox.engine.steps.diff_resource import Work
from sandbox.engine.steps.replace_dependents import dependents_to_replace


class Execution:
    """Carries out the steps of one operation; in a preview it asks the providers what would come of them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def same(self, work: Work, old: Resource) -> Resource:
        """Keep the resource as it is; what the program says about it besides its inputs is recorded."""
        new = work.new
        new.id, new.outputs, new.init_errors = old.id, old.outputs, old.init_errors
        new.import_id = new.import_id or old.import_id
        _mark_secrets(new)
        if is_provider(new.type):
            self._deployment.providers.same(new)
        if equal(old.inputs, new.inputs) and same_secrecy(old.inputs, new.inputs):
            new.modified, new.rest = old.modified, old.rest
        self.record(new, old, "same")
        if not work.imported:
            self._deployment.same(new)
        return new

    def create(self, work: Work, op: Op) -> Resource:
        """Make the resource, new or in an old one's place."""
        deployment, new, handler = self._deployment, work.new, work.handler
        if handler is None:
            return self._component(work, op)

        def call() -> None:
            new.id, new.outputs = handler.create(
                new.urn, new.inputs, timeout=new.custom_timeouts.get("create", 0), preview=deployment.preview
            )
            new.created = now()

        return self._change(work, op, "Create", call)

    def update(self, work: Work, old: Resource) -> Resource:
        """Change the resource in place."""
        deployment, new, handler = self._deployment, work.new, work.handler
        new.id = old.id
        if handler is None:
            return self._component(work, "update")

        def call() -> None:
            new.outputs = handler.update(
                new.urn, old.id, old.inputs, old.outputs, new.inputs, work.goal.ignore_changes,
                timeout=new.custom_timeouts.get("update", 0), preview=deployment.preview,
            )  # fmt: skip

        return self._change(work, "update", "Update", call)

    def _component(self, work: Work, op: Op) -> Resource:
        deployment, new = self._deployment, work.new
        action: Action = "Update" if op == "update" else "Create"
        old = work.old if action == "Update" else None
        deployment.hooks.before(action, new, old)
        with deployment.step(op, new, work.changes, slot=False):
            self.record(new, work.old, op)
            deployment.hooks.await_outputs(action, new, old)
        return new

    def _change(self, work: Work, op: Op, action: Action, call: Callable[[], None]) -> Resource:
        """Call the provider; the state says so before, and afterwards holds whatever came of it."""
        deployment, new = self._deployment, work.new
        old = work.old if action == "Update" else None
        with deployment.step(op, new, work.changes) as step:
            deployment.hooks.before(action, new, old)
            try:
                with deployment.journal.during("updating" if old else "creating", new):
                    deployment.hooks.retrying(action, new, old, call)
            except ProviderError as error:
                partial = error.partial
                if partial is None or not partial.id:
                    deployment.journal.write()
                    raise
                new.id, new.outputs, new.init_errors = partial.id, dict(partial.outputs), partial.reasons
                if partial.inputs is not None:
                    new.inputs = dict(partial.inputs)
                self._keep(work, op)
                raise
            step.id = new.id
            self._keep(work, op)
            deployment.hooks.after(action, new, old)
        return new

    def _keep(self, work: Work, op: Op) -> None:
        new = work.new
        _mark_secrets(new)
        new.modified = now()
        new.created = new.created or new.modified
        self.record(new, work.old, op)

    def replace(self, work: Work, old: Resource, difference: Difference) -> Resource:
        """Put a new resource in the old one's place: made first, unless provider or program ask for the reverse."""
        deployment, new = self._deployment, work.new
        if old.protect and new.protect:
            raise StepError(
                new.urn,
                "It would have to be replaced, but it is protected. Take `protect` off it in the program, run `up`, "
                "then make this change.",
            )
        if work.goal.import_id:
            told = "; ".join(f"{item.path}: {item.old!r} is live, {item.new!r} in the program" for item in work.changes)
            problem = (
                f"It was imported and would have to be replaced ({told}). "
                "Make the program agree with what is there, or take the `import_` option off it."
            )
            if not deployment.preview:
                raise StepError(new.urn, problem)
            deployment.recorder.message("warning", new.urn, problem)
        delete_first = work.goal.delete_before_replace
        if delete_first is None:
            delete_first = difference.delete_before_replace
        with deployment.lock:
            deployment.replaced.add(new.urn)
        if delete_first and old.custom:
            for dependent in reversed(dependents_to_replace(deployment, old)):
                self._condemn(dependent, because=new.urn)
            self._condemn(old, because=new.urn)
            return self.create(work, "replace")
        deployment.journal.condemn(old)
        try:
            return self.create(work, "replace")
        except Exception:  # whatever it was: nothing stands in the old one's place, so it isn't condemned any more
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
        carried_off = old.deleted_with and old.deleted_with in deployment.condemned
        try:
            deployment.hooks.before("Delete", None, old)
            if not (deployment.preview or old.retain_on_delete or carried_off or is_provider(old.type)):
                deployment.delete(old)
        except Exception:  # whatever it was: it is still there
            with deployment.lock:
                del deployment.condemned[old.urn]
            raise
        if not deployment.preview:
            old.pending_replacement = True
            deployment.journal.changed(old)
        deployment.hooks.after("Delete", None, old)

    def adopt(self, work: Work) -> Resource:
        """Take an existing resource into the stack (`import_`) as it is; where the program differs, it is changed next."""
        deployment, new, handler = self._deployment, work.new, work.handler
        identifier, replaced = work.goal.import_id, work.old is not None and not work.old.external
        if not isinstance(handler, Plugin):
            raise StepError(new.urn, "Only a custom resource can be imported.")
        with deployment.step("replace" if replaced else "import", new) as step:
            step.id = identifier
            found = handler.read(new.urn, identifier, {}, {}, timeout=new.custom_timeouts.get("read", 0))
            if found is None:
                raise StepError(new.urn, f"Nothing with the id {identifier!r} exists to be imported.")
            live_id, live_inputs, live_outputs = found
            live = new.copy(id=live_id, inputs=live_inputs, outputs=live_outputs, created=now(), modified=now())
            if work.old is not None:
                deployment.journal.condemn(work.old)
            _mark_secrets(live)
            self.record(live, work.old, "import")
        return live

    def record(self, new: Resource, old: Resource | None, op: Op) -> None:
        """Let the state and the rest of the operation know of a resource that is as it should be."""
        deployment = self._deployment
        with deployment.lock:
            deployment.registered[new.urn] = new
            if op != "same":
                deployment.targeted_parents.add(new.urn)
        if not deployment.preview:
            kept_beside = old is None or old.delete
            deployment.journal.put(new, replacing=None if kept_beside else old)


def _mark_secrets(new: Resource) -> None:
    for key in new.additional_secret_outputs:
        if key in new.outputs:
            new.outputs[key] = secret(new.outputs[key])
