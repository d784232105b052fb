import { describe, expect, test } from 'vitest';
import { Admission } from '../../src/broker/admission.ts';
import { CONNECTION_INFLIGHT_BYTES_MAX, LogError, NODE_INFLIGHT_BYTES_MAX } from '../../src/protocol/index.ts';

function refused(act: () => void): LogError {
  try {
    act();
  } catch (error) {
    if (LogError.is(error)) return error;
    throw error;
  }
  throw new Error('it was admitted');
}

describe('admission', () => {
  test('takes a connection up to its cap, exactly, and again what it gave back', () => {
    const admission = new Admission();
    const client = { inflightBytes: 0 };
    admission.admit(client, CONNECTION_INFLIGHT_BYTES_MAX);
    const error = refused(() => admission.admit(client, 1));
    expect([error.code, error.outcome, error.retriable]).toEqual(['OVERLOADED', 'none', true]);
    expect(error.details).toMatchObject({ limitBytes: CONNECTION_INFLIGHT_BYTES_MAX, retryAfterMs: 50 });
    admission.release(client, 1);
    admission.admit(client, 1);
    expect(client.inflightBytes).toBe(CONNECTION_INFLIGHT_BYTES_MAX);
  });

  test('takes the node up to its cap, whoever fills it, and what is refused counts for nothing', () => {
    const admission = new Admission();
    const clients = Array.from({ length: NODE_INFLIGHT_BYTES_MAX / CONNECTION_INFLIGHT_BYTES_MAX }, () => ({
      inflightBytes: 0,
    }));
    for (const client of clients) admission.admit(client, CONNECTION_INFLIGHT_BYTES_MAX);
    const late = { inflightBytes: 0 };
    const error = refused(() => admission.admit(late, 1));
    expect(error.details.limitBytes).toBe(NODE_INFLIGHT_BYTES_MAX);
    expect([late.inflightBytes, admission.inflightBytes]).toEqual([0, NODE_INFLIGHT_BYTES_MAX]);
    for (const client of clients) admission.release(client, CONNECTION_INFLIGHT_BYTES_MAX);
    expect(admission.inflightBytes).toBe(0);
    admission.admit(late, 1);
  });
});
