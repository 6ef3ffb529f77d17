"""Role mapping: who has a role of the Security plugin."""

from __future__ import annotations

from opensearch_ml.base.outcome import Changed, changed
from opensearch_ml.blueprint.target import RoleMapping, Target
from opensearch_ml.client.documents import CallerDoc
from opensearch_ml.errors import Conflict, PermissionDenied
from opensearch_ml.hook import MAPPING_KEYS, OpenSearchMLHook
from opensearch_ml.retries import persistently

Mapping = dict[str, list[str]]
ML_ROLE = "ml_full_access"


def wanted_mappings(hook: OpenSearchMLHook, target: Target) -> dict[str, RoleMapping]:
    """Return the mappings that a target asks for, and that of whoever signs, unless ML Commons lets him in already.

    :param hook: of the connection whose caller is to use ML Commons, not of the one that maps.
    """
    wanted = dict(target.role_mapping)
    if hook.signs and not _may_use_ml(hook):
        wanted[ML_ROLE] = _with_caller(wanted.get(ML_ROLE, RoleMapping()), hook.authinfo())
    return wanted


def ensure_role_mapping(hook: OpenSearchMLHook, role: str, wanted: RoleMapping) -> Changed:
    """Map who is missing to a role; who is mapped already stays.

    :param role: for instance ``ml_full_access``.
    :raises PermissionDenied: the connection's user is no Security administrator.
    Source: ``/_plugins/_security/api/rolesmapping/{role}``.
    """
    added: dict[str, None] = {}

    def attempt() -> None:
        have = hook.role_mapping(role)
        missing = wanted.missing(have or {})
        if have is None and missing:
            # A role that nobody was ever mapped to has no mapping to patch.
            hook.put_role_mapping(role, missing)
        elif missing:
            # Appending leaves what others add meanwhile; writing the list that we read would take it back.
            hook.patch_role_mapping(
                role,
                [
                    {"op": "add", "path": f"/{key}/-", "value": name}
                    if have and have[key]
                    else {"op": "add", "path": f"/{key}", "value": names}
                    for key, names in missing.items()
                    for name in (names if have and have[key] else names[:1])
                ],
            )
        added.update({f"{key}: {name}": None for key, names in missing.items() for name in names})
        _once_each(hook, role, wanted)

    persistently(attempt)
    return changed(f"mapping of role {role}", (f"added {entry}" for entry in added))


def _may_use_ml(hook: OpenSearchMLHook) -> bool:
    try:
        hook.search_connectors({"match_none": {}})
    except PermissionDenied as refusal:
        if "no permissions for" in refusal.evidence:
            return False
        raise  # not by the cluster, but by what stands before it
    return True


def _with_caller(mapping: RoleMapping, caller: CallerDoc) -> RoleMapping:
    # The cluster sees a session as its role, by backend role, and an IAM user as a user of that name.
    if caller["backend_roles"]:
        return mapping.model_copy(update={"backend_roles": [*mapping.backend_roles, *caller["backend_roles"]]})
    return mapping.model_copy(update={"users": [*mapping.users, caller["user_name"]]})


def _once_each(hook: OpenSearchMLHook, role: str, wanted: RoleMapping) -> None:
    have = hook.role_mapping(role) or {}
    if lost := wanted.missing(have):
        raise Conflict(f"another writer overwrote our mapping of {role}", evidence=f"absent: {lost}", fix="run again")
    # Two runs that append at once leave an entry twice: the server does not look.
    for key in MAPPING_KEYS:
        names = have.get(key, [])
        if any(names.count(name) > 1 for name in getattr(wanted, key)):
            unique = list(dict.fromkeys(names))
            hook.patch_role_mapping(role, [{"op": "add", "path": f"/{key}", "value": unique}])
