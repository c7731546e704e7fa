-- A workflow of three steps with psql alone: psql defines it, starts a task, and plays the runner.
--
--     pgtasker install
--     psql -f examples/sql_only.sql
--
-- Anything that can call a function can do the same. (\gset keeps a row's columns as variables.)

\set ON_ERROR_STOP on

-- Define: a document names the steps and what each waits for.

select pgtasker.register_workflow(definition => '{
    "namespace": "examples", "name": "sell_one", "version": "1.0.0",
    "steps": [
        {"name": "validate"},
        {"name": "charge", "depends_on": ["validate"], "retry_limit": 5},
        {"name": "ship", "depends_on": ["validate", "charge"]}
    ]}') as named_task_id \gset

-- Start: in a transaction of the application, if it likes; the key makes it safe to repeat.

begin;
select pgtasker.create_task(
    name => 'sell_one',
    namespace => 'examples',
    context => '{"item": "lamp", "price": 42}',
    idempotency_key => 'order-' || pg_backend_pid() || '-' || clock_timestamp()
) as task_id \gset
commit;

-- Execute: register, claim, report; a claim_id is the right to report this attempt, once.
-- A runner that lives longer than its lease (15 s) also calls heartbeat(runner_id) now and then.

select pgtasker.register_runner(name => 'psql') as runner_id \gset

select * from pgtasker.claim_steps(runner_id => :runner_id, max_steps => 1) \gset
\echo claimed :step_name, context :context
select pgtasker.complete_step(
    workflow_step_id => :workflow_step_id, claim_id => :claim_id, results => '{"valid": true}'
);

-- What a parent answered comes with the claim. This attempt fails; the next one may run at once.

select * from pgtasker.claim_steps(runner_id => :runner_id, max_steps => 1) \gset
\echo claimed :step_name, attempt :attempt of :retry_limit, parents :dependency_results
select pgtasker.fail_step(
    workflow_step_id => :workflow_step_id, claim_id => :claim_id,
    error => '{"type": "Declined", "message": "the bank is busy"}', retry_after => '0'
);

select * from pgtasker.claim_steps(runner_id => :runner_id, max_steps => 1) \gset
\echo claimed :step_name, attempt :attempt of :retry_limit

-- advance reports and claims in one round trip: here the second attempt, and the step it frees.

select
    claimed -> 0 ->> 'workflow_step_id' as workflow_step_id,
    claimed -> 0 ->> 'claim_id' as claim_id,
    claimed -> 0 ->> 'step_name' as step_name
from pgtasker.advance(
    runner_id => :runner_id,
    outcomes => jsonb_build_array(jsonb_build_object(
        'workflow_step_id', :workflow_step_id, 'claim_id', :claim_id,
        'outcome', 'complete', 'results', jsonb_build_object('paid', 42)
    )),
    max_steps => 1
) \gset
\echo claimed :step_name
select pgtasker.complete_step(
    workflow_step_id => :workflow_step_id, claim_id => :claim_id, results => '{"parcel": "P-1"}'
);

select pgtasker.deregister_runner(runner_id => :runner_id);

-- Look.

select state, results from pgtasker.get_task(task_id => :task_id);

select name, state, attempts, results from pgtasker.get_task_steps(task_id => :task_id);

select name, from_state, to_state, reason from pgtasker.get_task_history(task_id => :task_id);

select * from pgtasker.check_consistency();
