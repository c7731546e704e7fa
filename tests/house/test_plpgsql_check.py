"""What plpgsql_check says of every PL/pgSQL function, on each server that has the extension.

PL/pgSQL looks at a statement when it comes to it, so a column that there is no more is found by
whoever gets there first. The extension looks at all of them. `make debian` installs it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from ..support.databases import Database
from ..support.session import Session

OPTIONS = ", ".join(
    f"{option} => {value}"
    for option, value in {
        "fatal_errors": "false",
        "other_warnings": "true",
        "extra_warnings": "true",
        "performance_warnings": "true",
        "security_warnings": "true",
        "compatibility_warnings": "true",
    }.items()
)

# What is meant, and why: the name of the function (a pattern), what is said of it (another).
ACCEPTED = [
    # A call as an expression costs less than as a statement; what it answers is of no interest.
    (r".*", r"never read variable .*"),
    # Once in a call; what would cost something is a cast beside a column, which is said otherwise.
    (r".*", r"target type .* Hidden casting can be a performance issue\."),
    # To refuse is an effect: nobody may do it while planning, or leave it out.
    (r"_refuse", r"routine is marked as VOLATILE, should be IMMUTABLE .*"),
    # It locks rows, and only a volatile function may.
    (r"_leave_busy_tasks|_lock_reported", r"routine is marked as VOLATILE, should be STABLE .*"),
]


@dataclass(frozen=True)
class Finding:
    """Something that is said of one line of a function."""

    function: str
    line: int | None
    level: str
    says: str

    @property
    def is_accepted(self) -> bool:
        return any(
            re.fullmatch(function, self.function) and re.fullmatch(said, self.says)
            for function, said in ACCEPTED
        )


def findings(db: Session) -> set[Finding]:
    """All of them. A trigger function is right if each line is right for one of its triggers."""
    rows = db.rows(
        f"""
        with checked as (
            select
                function.oid::regprocedure as function,
                function.proname::text as name,
                fired.oid as trigger,
                coalesce(fired.tgrelid, 0)::regclass as relation,
                fired.tgoldtable as old_table,
                fired.tgnewtable as new_table,
                count(*) over (partition by function.oid) as uses
            from pg_proc function
            join pg_namespace namespace on namespace.oid = function.pronamespace
            join pg_language language on language.oid = function.prolang
            left join pg_trigger fired
                on fired.tgfoid = function.oid and not fired.tgisinternal
            where namespace.nspname = current_schema() and language.lanname = 'plpgsql'
        )
        select
            checked.name, said.lineno, said.level,
            concat_ws(' ', said.message, said.detail, said.hint, said.query) as says
        from checked
        cross join lateral plpgsql_check_function_tb(
            checked.function, checked.relation, {OPTIONS},
            oldtable => checked.old_table, newtable => checked.new_table
        ) said
        group by checked.name, checked.uses, said.lineno, said.level, says
        having count(distinct coalesce(checked.trigger, 0)) = checked.uses
        """
    )
    return {Finding(row.name, row.lineno, row.level, row.says) for row in rows}


@pytest.fixture
def checked(own_database: Database) -> Session:
    """An install beside the extension, which goes with the database."""
    db = own_database.main
    known = db.one(
        "select exists (select from pg_available_extensions where name = 'plpgsql_check')"
    )
    if not known:
        pytest.skip("plpgsql_check is not installed for this server: make debian")
    db.run("create schema linting; create extension plpgsql_check schema linting")
    db.run("select set_config('search_path', current_setting('search_path') || ', linting', false)")
    return db


def test_plpgsql_check_finds_nothing(checked: Session):
    """No statement of any function refers to what is not there, or does what is not meant."""
    found = [finding for finding in findings(checked) if not finding.is_accepted]
    assert not found, "\n".join(sorted(map(str, found)))


def test_plpgsql_check_finds_what_is_wrong(checked: Session):
    """A column that does not exist, in a function and in one of a trigger with its own table."""
    checked.run(
        """
        create function _broken() returns void language plpgsql volatile as $$
        begin
            perform task.nothing from tasks task;
        end;
        $$;
        create function _broken_trigger() returns trigger language plpgsql volatile as $$
        begin
            perform added.task_id, added.nothing from added;
            return null;
        end;
        $$;
        create trigger broken after insert on tasks referencing new table as added
        for each statement execute function _broken_trigger();
        """
    )
    errors = [finding for finding in findings(checked) if finding.level == "error"]
    assert {error.function for error in errors} == {"_broken", "_broken_trigger"}
    assert all("nothing does not exist" in error.says for error in errors)
