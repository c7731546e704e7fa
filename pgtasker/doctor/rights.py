"""Who may use the install: this user, its roles, and whoever could change what it calls."""

from __future__ import annotations

from collections.abc import Iterator

from pgtasker.doctor.base import OK, PROBLEM, WARNING, Patient, Result
from pgtasker.installer import some
from pgtasker.rights import KINDS, identifier, rights, roles_in

# What a role may not use; a function or view that is not there is told by another check.
_LACKING = """
    with asked as (
        select namespace.oid, %s::name as role, %s::text[] as functions, %s::text[] as views
        from pg_namespace namespace
        where namespace.nspname = %s
    )
    select function.proname
    from asked
    join pg_proc function
        on function.pronamespace = asked.oid and function.proname = any (asked.functions)
    where not has_function_privilege(asked.role, function.oid, 'execute')
    union all
    select view.relname
    from asked
    join pg_class view on view.relnamespace = asked.oid and view.relname = any (asked.views)
    where not has_table_privilege(asked.role, view.oid, 'select')
    union all
    select 'the schema' from asked where not has_schema_privilege(asked.role, asked.oid, 'usage')
    order by 1
"""
# Functions that run with the rights of their owner find what these put there.
_CREATORS = """
    select
        case granted.grantee when 0 then 'public' else granted.grantee::regrole::text end,
        settings.relowner::regrole::text
    from pg_namespace namespace
    join pg_class settings
        on settings.relnamespace = namespace.oid and settings.relname = 'settings'
    cross join lateral aclexplode(namespace.nspacl) as granted
    left join pg_roles role on role.oid = granted.grantee
    where namespace.nspname = %s
    and granted.privilege_type = 'CREATE'
    and granted.grantee not in (settings.relowner, namespace.nspowner)
    and not coalesce(role.rolsuper, false)
    order by 1
"""


def privileges(patient: Patient) -> Iterator[Result]:
    [(user, owns)] = patient.ask(
        "select current_user, pg_has_role(relowner, 'usage') from pg_class relation"
        " join pg_namespace namespace on namespace.oid = relation.relnamespace"
        " where namespace.nspname = %s and relation.relname = 'settings'",
        patient.schema,
    )
    if owns:
        yield OK, f"{user} owns the install", ""
        return
    lacking = {kind: _lacking(patient, kind, user) for kind in KINDS}
    held = [kind for kind in KINDS if not lacking[kind]]
    if held:
        yield OK, f"{user} may {_may(held)}", ""
    else:
        least = min(lacking.values(), key=len)
        text = f"{user} may not do all that any role may: {some(least)} is missing"
        yield PROBLEM, text, advice_of_roles(patient)


def roles(patient: Patient) -> Iterator[Result]:
    """The roles of this install have what they should, and nobody else creates anything in it."""
    existing = roles_in(patient.connection, patient.schema)
    for role in existing:
        missing = _lacking(patient, role.rpartition("_")[2], role)
        if missing:
            yield WARNING, f"{role} lacks {some(missing)}", "pgtasker upgrade, as the owner"
    creators = patient.ask(_CREATORS, patient.schema)
    for creator, owner in creators:
        text = f"{creator} may create objects in the schema, and so act as its owner {owner}"
        schema = identifier(patient.schema)
        yield PROBLEM, text, f"revoke create on schema {schema} from {creator}"
    if not existing:
        yield OK, "there are none", ""
    elif not creators:
        yield OK, f"there are {', '.join(existing)}", ""


def _lacking(patient: Patient, kind: str, user: str) -> list[str]:
    """What the user, or another role, may not use of what a kind of role may."""
    granted = rights()[kind]
    rows = patient.ask(
        _LACKING, user, list(granted["function"]), list(granted["table"]), patient.schema
    )
    return [str(name) for (name,) in rows]


def _may(held: list[str]) -> str:
    """In words; what one kind may, another may include."""
    kinds = ["admin"] if "admin" in held else [kind for kind in held if kind != "viewer"]
    return ", and ".join(KINDS[kind] for kind in kinds or held)


def advice_of_roles(patient: Patient) -> str:
    """What to do about a user who may not use the install."""
    existing = roles_in(patient.connection, patient.schema)
    if existing:
        return f"let the owner grant this user one of {', '.join(map(identifier, existing))}"
    return "let the owner create roles (pgtasker upgrade --create-roles) and grant this user one"
