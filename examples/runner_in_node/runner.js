// A pgtasker runner in Node.js: it executes handlers, and knows the engine by a few SQL functions.
//
// One loop does all the talking, over one connection: register, or take up again what was held when
// the last connection was lost; then heartbeat, maintain and advance as they are due, and sleep
// until a NOTIFY. As only this loop talks, what is held cannot change while a call is under way.
// The database decides the rest: what runs next, what is retried when, and who has lost a claim.

import os from 'node:os';
import pg from 'pg';

const SHORT_PAUSES = [20, 100, 500, 1200]; // ms after looks that found nothing; then poll_interval
const UNKNOWN_STEP_DELAY = 10; // seconds until a step that has no handler here is offered again
const FAREWELL = 5_000; // ms for the last report
const EXPIRED = 'TK004';
const REFUSED = /^(22|54)/; // what was sent cannot be stored
const HOPELESS = /^(28|3D|3F|42)/; // at the start: password, database, schema, no install in it

/** Thrown by a handler: no further attempt will help. */
export class PermanentError extends Error {}

/** Thrown by a handler: try again after so many seconds, instead of the step's backoff. */
export class RetryableError extends Error {
  constructor(message, { retryAfter } = {}) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

export class Runner {
  #connection = null;
  #runnerId = null;
  #lease = 15_000; // ms, as the settings of the install say
  #poll = 5_000;
  #attempts = new Map(); // claim_id -> an attempt that is under way and still counts
  #busy = 0; // handlers that have not returned, whether or not their attempt still counts
  #outcomes = []; // of attempts that have ended, until the database has them
  #due = {}; // when to look for work, to send a heartbeat, to call maintain
  #fruitless = 0; // looks in a row that found less than they asked for
  #failures = 0; // of the connection, in a row
  #stopping = null; // the time until which handlers may finish
  #wake = () => {};

  /**
   * `handlers`: functions by "namespace/workflow.step", or by the `handler` name of a step. Each
   * gets { context, results, inputs, attempt, taskId, signal } and answers the step's results, or
   * throws; `results` are those of the parents, by name; `signal` is aborted once the attempt no
   * longer counts. `concurrency`: handlers at once. `grace`: ms they may still take after stop().
   */
  constructor({ dsn, schema = 'pgtasker', queues, handlers, ...options }) {
    this.dsn = dsn;
    this.schema = pg.escapeIdentifier(schema);
    this.queues = queues;
    this.handlers = handlers;
    this.concurrency = options.concurrency ?? 20;
    this.grace = options.grace ?? 10_000;
    this.name = options.name ?? `${os.hostname()}-${process.pid}`;
  }

  /** Execute steps until stop(); throws only what a person has to put right, at the start. */
  async run() {
    while (!this.#isOver()) {
      try {
        await this.#enlist();
        while (!this.#isOver()) await this.#turn();
      } catch (error) {
        if (error.code === EXPIRED) {
          this.#log('runner expired', { runner_id: this.#runnerId });
          this.#runnerId = null;
        } else if (this.#runnerId === null && HOPELESS.test(error.code)) {
          throw error;
        } else {
          await this.#recover(error);
        }
      }
    }
    await this.#leave();
  }

  /** Claim no more, let handlers finish within the grace period, release the rest, end. */
  stop() {
    this.#stopping = this.#stopping === null ? performance.now() + this.grace : 0;
    this.#wake();
  }

  // Talking.

  async #enlist() {
    if (this.#connection === null) await this.#connect();
    if (this.#runnerId === null) {
      // On the connection that stays: the session lock taken here tells others that we live.
      this.#runnerId = await this.#value(
        'register_runner(name => $1, queues => $2, metadata => $3)',
        [this.name, this.queues, JSON.stringify({ pid: process.pid, node: process.version })],
      );
      this.#log('runner registered', { runner_id: this.#runnerId, queues: this.queues });
    }
    this.#lease = await this.#setting('lease');
    this.#poll = await this.#setting('poll_interval');
    const channel = await this.#value('wake_up_channel(runner_id => $1)', [this.#runnerId]);
    await this.#connection.query(`listen ${pg.escapeIdentifier(channel)}`);
    this.#due = { heartbeat: 0, maintain: 0, look: 0 };
    this.#failures = 0;
  }

  async #turn() {
    if (this.#isDue('heartbeat')) await this.#beat();
    if (this.#isDue('maintain')) await this.#maintain();
    if (this.#outcomes.length > 0 || (this.#isDue('look') && this.#freeSlots() > 0)) {
      await this.#advance([...this.#outcomes], this.#freeSlots());
    } else {
      await this.#sleep();
    }
  }

  /** Renew the lease and say what is held, so that each side learns what the other has lost. */
  async #beat() {
    this.#due.heartbeat = performance.now() + this.#lease / 3;
    const held = [...this.#attempts.keys(), ...this.#outcomes.map(({ claim_id }) => claim_id)];
    const lost = await this.#rows('heartbeat(runner_id => $1, held => $2)', [this.#runnerId, held]);
    for (const { heartbeat } of lost) this.#lose(Number(heartbeat));
  }

  /** Due retries, leases and timeouts: the engine has no process of its own, so runners ask it. */
  async #maintain() {
    const pause = await this.#value('maintain()', [], `it - ${this.schema}.clock()`);
    this.#due.maintain = performance.now() + Math.min(Math.max(pause, 20), this.#poll);
    this.#due.look = 0;
  }

  /** Report outcomes and claim as many steps as fit, in one round trip and one commit. */
  async #advance(outcomes, asked) {
    let answer;
    try {
      [answer] = await this.#rows('advance(runner_id => $1, outcomes => $2, max_steps => $3)', [
        this.#runnerId,
        JSON.stringify(outcomes),
        asked,
      ]);
    } catch (error) {
      if (outcomes.length === 0 || !REFUSED.test(error.code)) throw error;
      await this.#narrowDown(outcomes, error);
      return;
    }
    this.#outcomes = this.#outcomes.filter((outcome) => !outcomes.includes(outcome));
    for (const claimId of answer.lost) this.#log('claim lost', { claim_id: Number(claimId) });
    for (const claim of answer.claimed) this.#begin(claim);
    this.#pace(asked, answer.claimed.length);
  }

  /** One of the outcomes cannot be stored (\u0000 in a text, say): find it, report that instead. */
  async #narrowDown(outcomes, error) {
    if (outcomes.length > 1) {
      for (const outcome of outcomes) await this.#advance([outcome], 0);
    } else {
      delete outcomes[0].results;
      Object.assign(outcomes[0], failed(new PermanentError(`not stored: ${error.message}`)));
    }
  }

  /** After an answer with less than was asked for: look again soon, then less and less often. */
  #pace(asked, got) {
    if (asked === 0) return;
    this.#fruitless = got > 0 ? 0 : this.#fruitless + 1;
    const pause = (SHORT_PAUSES[this.#fruitless] ?? this.#poll) * (0.8 + Math.random() / 5);
    this.#due.look = got < asked ? performance.now() + pause : 0;
  }

  // Attempts.

  #begin(claim) {
    const step = `${claim.namespace}/${claim.workflow_name}.${claim.step_name}`;
    const handler = this.handlers[claim.handler] ?? this.handlers[step];
    if (this.#stopping !== null) {
      this.#report(claim, { outcome: 'release' });
    } else if (handler === undefined) {
      this.#log('step released', { step, why: 'no handler here', retry_in: UNKNOWN_STEP_DELAY });
      this.#report(claim, { outcome: 'release', delay: UNKNOWN_STEP_DELAY });
    } else {
      const attempt = { claim, step, abort: new AbortController() };
      this.#attempts.set(claim.claim_id, attempt);
      if (claim.timeout !== null) {
        const late = failed(new Error(`no result within ${claim.timeout} s`), 'Timeout');
        attempt.timer = setTimeout(() => this.#settle(attempt, late), 1000 * claim.timeout);
      }
      this.#execute(handler, attempt);
    }
  }

  async #execute(handler, attempt) {
    const { claim, abort } = attempt;
    this.#busy += 1;
    let outcome;
    try {
      const results = await handler({
        context: claim.context,
        results: claim.dependency_results,
        inputs: claim.inputs,
        attempt: claim.attempt,
        taskId: claim.task_id,
        signal: abort.signal,
      });
      outcome = completed(results);
    } catch (error) {
      outcome = failed(error);
    }
    this.#busy -= 1;
    this.#settle(attempt, outcome);
  }

  /** An attempt ends once: by its handler, its timeout, a release, or the loss of its claim. */
  #settle(attempt, outcome) {
    if (this.#end(attempt)) {
      const { claim, step } = attempt;
      const { error } = outcome;
      if (error) this.#log('step failed', { step, task_id: claim.task_id, error: error.message });
      this.#report(claim, outcome);
    }
    this.#wake();
  }

  #lose(claimId) {
    this.#log('claim lost', { claim_id: claimId });
    this.#end(this.#attempts.get(claimId));
    this.#outcomes = this.#outcomes.filter(({ claim_id }) => claim_id !== claimId);
  }

  #end(attempt) {
    if (!attempt || !this.#attempts.delete(attempt.claim.claim_id)) return false;
    clearTimeout(attempt.timer);
    attempt.abort.abort();
    return true;
  }

  #report({ workflow_step_id, claim_id }, outcome) {
    this.#outcomes.push({ workflow_step_id, claim_id, ...outcome });
  }

  #freeSlots() {
    return this.#stopping === null ? Math.max(0, this.concurrency - this.#busy) : 0;
  }

  // Time.

  #isDue(what) {
    return performance.now() >= this.#due[what];
  }

  #isOver() {
    if (this.#stopping === null) return false;
    const isIdle = this.#attempts.size === 0 && this.#outcomes.length === 0;
    return isIdle || performance.now() >= this.#stopping;
  }

  /** Until something ends, a NOTIFY comes, or something is due. */
  #sleep() {
    const until = [this.#due.heartbeat, this.#due.maintain];
    if (this.#freeSlots() > 0) until.push(this.#due.look);
    if (this.#stopping !== null) until.push(this.#stopping);
    return this.#pause(Math.min(...until) - performance.now());
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, milliseconds));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  // The connection.

  async #connect() {
    const connection = new pg.Client({
      connectionString: this.dsn, // undefined: where PGHOST and its like say
      application_name: this.name,
      connectionTimeoutMillis: 10_000,
      query_timeout: 30_000, // a peer that vanished without a word never answers
    });
    connection.on('notification', () => {
      this.#fruitless = 0;
      this.#due.look = 0;
      this.#wake();
    });
    const lost = () => {
      this.#due.heartbeat = 0; // which fails, and leads to a new connection
      this.#wake();
    };
    connection.on('error', lost);
    connection.on('end', lost);
    await connection.connect();
    this.#connection = connection;
  }

  /** Whatever went wrong, a new connection is a fresh start; pauses grow while that fails too. */
  async #recover(error) {
    this.#connection?.end().catch(() => {});
    this.#connection = null;
    this.#failures += 1;
    const longest = Math.min(this.#lease / 3, 100 * 2 ** this.#failures);
    const pause = longest * (0.5 + Math.random() / 2);
    this.#log('no connection', { error: error.message, retry_in: Math.round(pause) / 1000 });
    await this.#pause(pause);
  }

  /** Give back what still runs and say goodbye; without a connection the lease does the same. */
  async #leave() {
    for (const attempt of [...this.#attempts.values()]) {
      this.#settle(attempt, { outcome: 'release' });
    }
    const late = setTimeout(() => this.#connection?.end(), FAREWELL);
    try {
      if (this.#connection !== null && this.#runnerId !== null) {
        await this.#advance([...this.#outcomes], 0);
        await this.#value('deregister_runner(runner_id => $1)', [this.#runnerId]);
      }
      await this.#connection?.end();
    } catch (error) {
      this.#log('runner not deregistered', { error: error.message });
    }
    clearTimeout(late);
    this.#log('runner stopped');
  }

  async #rows(call, values) {
    return (await this.#connection.query(`select * from ${this.schema}.${call}`, values)).rows;
  }

  /** What a function answers, or an interval over it in ms. */
  async #value(call, values, interval) {
    const what = interval ? `1000 * extract(epoch from ${interval})::float8` : 'it';
    const text = `select ${what} as value from ${this.schema}.${call} as it`;
    return (await this.#connection.query(text, values)).rows[0].value;
  }

  #setting(name) {
    return this.#value('get_setting(name => $1)', [name], 'it::interval');
  }

  #log(event, fields) {
    const line = { time: new Date().toISOString(), event, runner: this.name, ...fields };
    process.stderr.write(`${JSON.stringify(line)}\n`);
  }
}

function completed(results = null) {
  try {
    JSON.stringify(results);
    return { outcome: 'complete', results };
  } catch (error) {
    return failed(new PermanentError(`the result is not JSON: ${error.message}`));
  }
}

function failed(error, type = Object(error).constructor.name) {
  const { message = String(error), stack: traceback } = Object(error);
  const retryable = !(error instanceof PermanentError);
  const retry_after = error instanceof RetryableError ? error.retryAfter : undefined;
  return { outcome: 'fail', error: { type, message, traceback }, retryable, retry_after };
}
