"""Rules asked of the catalog of an install."""

from __future__ import annotations

import pytest

from ..support.session import Session

pytestmark = pytest.mark.newest_only

OURS = "(select oid from pg_namespace where nspname = 'pgtasker')"


def test_every_object_has_a_comment(catalog: Session):
    """Whoever meets an object in psql can ask it what it is for."""
    relations = catalog.column(
        f"""
        select c.relname::text
        from pg_class c
        where c.relnamespace = {OURS}
            and c.relkind in ('r', 'p', 'v', 'm', 'S', 'c')
            and obj_description(c.oid, 'pg_class') is null
            and not (c.relkind = 'c' and obj_description(c.reltype, 'pg_type') is not null)
            and not exists (
                select from pg_depend d
                where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'i'
            )
        """
    )
    functions = catalog.column(
        f"""
        select p.proname::text
        from pg_proc p
        where p.pronamespace = {OURS} and obj_description(p.oid, 'pg_proc') is null
        """
    )
    types = catalog.column(
        f"""
        select t.typname::text
        from pg_type t
        where t.typnamespace = {OURS}
            and t.typtype in ('d', 'e', 'r')
            and obj_description(t.oid, 'pg_type') is null
        """
    )
    assert relations + functions + types == []


def test_a_comment_is_one_sentence_for_the_person_at_psql(catalog: Session):
    """It ends like a sentence and fits into a line or two."""
    comments = catalog.column(
        f"""
        select d.description
        from pg_description d
        where d.objoid in (select p.oid from pg_proc p where p.pronamespace = {OURS})
            or d.objoid in (select c.oid from pg_class c where c.relnamespace = {OURS})
        """
    )
    assert comments
    assert [c for c in comments if not c.endswith(".") or len(c) > 200 or "\n" in c] == []


def test_a_body_resolved_at_run_time_pins_the_search_path(catalog: Session):
    """The install's schema first, pg_temp last: nothing a caller has can stand before it."""
    loose = catalog.column(
        f"""
        select p.proname::text
        from pg_proc p
        where p.pronamespace = {OURS}
            and p.prosqlbody is null
            and p.proconfig @> array['search_path=pgtasker, pg_temp'] is not true
        """
    )
    assert loose == []


def test_there_are_no_overloads(catalog: Session):
    """A name is one function; what is optional has a default."""
    twice = f"select proname::text from pg_proc where pronamespace = {OURS} group by 1"
    assert catalog.column(f"{twice} having count(*) > 1") == []


def test_every_table_has_a_primary_key(catalog: Session):
    """Every row can be named."""
    without = catalog.column(
        f"""
        select c.relname::text
        from pg_class c
        where c.relnamespace = {OURS}
            and c.relkind in ('r', 'p')
            and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
        """
    )
    assert without == []


def test_every_foreign_key_is_indexed(catalog: Session):
    """Deleting a referenced row must not read the whole table that refers to it."""
    bare = catalog.column(
        f"""
        select k.conname::text
        from pg_constraint k
        where k.connamespace = {OURS}
            and k.contype = 'f'
            and not exists (
                select
                from pg_index i
                where i.indrelid = k.conrelid
                    and i.indpred is null
                    and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
            )
        """
    )
    assert bare == []


def test_no_index_is_the_beginning_of_another(catalog: Session):
    """The longer index answers what the shorter one could, unless the shorter one is unique."""
    duplicates = catalog.rows(
        f"""
        select short.indexrelid::regclass::text as short, long.indexrelid::regclass::text as long
        from pg_index short
        join pg_index long
            on long.indrelid = short.indrelid
            and long.indexrelid <> short.indexrelid
            and (long.indkey::text || ' ') like (short.indkey::text || ' %')
            and long.indoption::text like short.indoption::text || '%'
            and coalesce(pg_get_expr(long.indpred, long.indrelid), '')
                = coalesce(pg_get_expr(short.indpred, short.indrelid), '')
        join pg_class c on c.oid = short.indrelid
        where c.relnamespace = {OURS}
            and short.indexprs is null
            and not short.indisunique
        """
    )
    assert duplicates == []


def test_internal_functions_are_nobody_elses(catalog: Session):
    """What begins with _ is granted to nobody; the public functions are the surface."""
    open_to_all = catalog.column(
        f"""
        select p.proname::text
        from pg_proc p
        where p.pronamespace = {OURS}
            and starts_with(p.proname, '_')
            and has_function_privilege('public', p.oid, 'execute')
        """
    )
    assert open_to_all == []


def test_views_call_no_internal_function(catalog: Session):
    """A viewer may read the views, and could not execute what they call."""
    calls = catalog.rows(
        f"""
        select distinct c.relname::text, p.proname::text
        from pg_rewrite r
        join pg_class c on c.oid = r.ev_class
        join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        join pg_proc p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
        where c.relnamespace = {OURS} and starts_with(p.proname, '_')
        """
    )
    assert calls == []


def test_one_name_is_one_type(catalog: Session):
    """A column or parameter means the same wherever its name stands: what is joined needs no cast,
    and what one function returns another one takes."""
    torn = catalog.rows(
        f"""
        select named.name, array_agg(distinct named.type::regtype::text) as types
        from (
            select a.attname::text, a.atttypid
            from pg_attribute a
            join pg_class c on c.oid = a.attrelid
            where c.relnamespace = {OURS}
                and c.relkind in ('r', 'v', 'c')
                and a.attnum > 0
                and not a.attisdropped
            union all
            select argument.name, argument.type
            from pg_proc p
            cross join lateral unnest(
                p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[])
            ) as argument (name, type)
            where p.pronamespace = {OURS} and not starts_with(p.proname, '_')
        ) as named (name, type)
        where named.name ~ '(_id|_ids|_at|_key|_seconds|_count|_limit)$'
        group by named.name
        having count(distinct named.type) > 1
        """
    )
    assert torn == []


def test_every_constraint_holds_for_the_rows_that_are_there(catalog: Session):
    """A migration may add one that is not valid yet, and has to validate it."""
    pending = f"select conname::text from pg_constraint where connamespace = {OURS}"
    assert catalog.column(f"{pending} and not convalidated") == []


def test_every_trigger_fires(catalog: Session):
    """The engine is its triggers: none is left disabled, or for a replica only."""
    silent = catalog.column(
        f"""
        select t.tgname::text
        from pg_trigger t
        join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = {OURS} and t.tgenabled <> 'O'
        """
    )
    assert silent == []


def test_the_install_asks_for_no_extension(catalog: Session):
    """Plain PostgreSQL is enough."""
    assert catalog.column("select extname::text from pg_extension") == ["plpgsql"]


@pytest.mark.parametrize(
    ("table", "column", "function"),
    [
        ("tasks", "complete", "_task_is_complete"),
        ("workflow_steps", "processed", "_step_is_processed"),
        ("workflow_steps", "in_process", "_step_is_in_process"),
    ],
)
def test_a_generated_column_says_what_its_rule_says(
    catalog: Session, table: str, column: str, function: str
):
    """The rule is written out in the column: a function would be parsed by every statement."""
    expression = catalog.one(
        """
        select pg_get_expr(d.adbin, d.adrelid)
        from pg_attrdef d
        join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
        where d.adrelid = %s::regclass and a.attname = %s and a.attgenerated = 's'
        """,
        table,
        column,
    )
    states = catalog.one(
        """
        select substring(pg_get_constraintdef(oid) from '{.*}')::text[]
        from pg_constraint
        where conrelid = %s::regclass and conname like '%%state_is_known'
        """,
        table,
    )
    assert len(states) > 5
    wrong = catalog.column(
        f"select state from unnest(%s::text[]) state where {expression} <> {function}(state)",
        states,
    )
    assert wrong == []
