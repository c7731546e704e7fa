// Executes what waits in the queue `shipping`, until SIGTERM or Ctrl-C: node shipping.js
//
// PGTASKER_DSN says where the database is, else PGHOST and its like; PGTASKER_SCHEMA which schema.

import { PermanentError, RetryableError, Runner } from './runner.js';

const runner = new Runner({
  dsn: process.env.PGTASKER_DSN,
  schema: process.env.PGTASKER_SCHEMA,
  queues: ['shipping'],
  handlers: { 'shop/sell.ship': ship },
});

/** A parcel for the order; the first attempt finds the printer busy. */
async function ship({ context, results, attempt }) {
  if (!results.pack.weight) throw new PermanentError('a parcel without weight cannot be shipped');
  if (attempt === 1) throw new RetryableError('the printer is busy', { retryAfter: 0.1 });
  return { parcel: `P-${context.order_id}`, weight: results.pack.weight };
}

process.on('SIGTERM', () => runner.stop());
process.on('SIGINT', () => runner.stop());
try {
  await runner.run();
} catch (error) {
  console.error(`shipping: ${error.message}`);
  process.exit(1);
}
process.exit(0); // also when a handler never returns
