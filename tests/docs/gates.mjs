// Handlers that wait, break and lie, for tests of the runner in examples/runner_in_node.

import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { PermanentError, Runner } from './runner.js';

const handlers = {
  async waits({ context, signal }) {
    writeFileSync(`${context.directory}/begun`, '');
    signal.addEventListener('abort', () => writeFileSync(`${context.directory}/aborted`, ''));
    while (!existsSync(`${context.directory}/gate`)) await pause(10);
    return 'done';
  },
  refused: () => 'a text that PostgreSQL cannot store: \u0000',
  circular() {
    const answer = {};
    answer.itself = answer;
    return answer;
  },
  permanent() {
    throw new PermanentError('no attempt will help');
  },
  text() {
    throw 'not even an error';
  },
  quick: ({ inputs, attempt, taskId }) => ({ inputs, attempt, taskId }),
};

const runner = new Runner({ schema: process.env.PGTASKER_SCHEMA, queues: ['node'], handlers });
process.on('SIGTERM', () => runner.stop());
await runner.run().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
process.exit(0);
